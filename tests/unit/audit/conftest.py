"""A chain in memory, sealed by the real sealer, behind the reader's two families."""

import pytest

from rco.audit.chain import ChainSealer
from rco.audit.link import GENESIS
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal, Sealer


class Evidence:
    """What a keeper holds of evidence; ``asked`` notes the sizes of the pages it was asked for."""

    def __init__(self) -> None:
        self.sealer: Sealer = ChainSealer()
        self.chain: list[Seal] = []
        self.rows: list[Segment] = []
        self.asked: list[int] = []

    def commit(self, *segments: tuple[bytes, int, list[Record]], decisions: int = 1, epoch: int = 1) -> Seal:
        n = len(self.chain) + 1
        leaves = b""
        for run_id, first_seq, records in segments:
            data = b"".join(map(encode_record, records))
            leaves += self.sealer.leaf(run_id, first_seq, data)
            self.rows.append(Segment(run_id, first_seq, n, data))
        seal = self.sealer.seal(
            writer="node-1",
            n=n,
            epoch=epoch,
            at_us=1_795_257_415_000_000 + n,
            prev=self.chain[-1].hash if self.chain else GENESIS,
            leaves=leaves,
            decisions=[
                Decision(verb=Verb.CALL, at_us=n, subject="payments", facts={"status": 200 + i})
                for i in range(decisions)
            ],
        )
        self.chain.append(seal)
        return seal

    async def chains(self) -> list[str]:
        return [""]

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        self.asked.append(limit)
        return [seal for seal in self.chain if seal.n >= first_n][:limit]

    async def head(self, chain: str = "") -> Seal | None:
        return self.chain[-1] if self.chain else None

    async def journal(self, run_id: bytes) -> list[Segment]:
        return [row for row in self.rows if row.run_id == run_id]

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        return [row for row in self.rows if first_n <= row.n <= last_n]


def steps(count: int, key: str = "charge") -> list[Record]:
    return [Record(int(Kind.STEP_END), f"{key}#{i}", 5, b"f" * 8, [True, i, 1]) for i in range(count)]


RUN_A, RUN_B = b"A" * 16, b"B" * 16


@pytest.fixture
def evidence() -> Evidence:
    """Five commits: run A in 1, 3 and 4, run B in 2 and 3, nothing but a decision in 5."""
    kept = Evidence()
    kept.commit((RUN_A, 0, steps(2)))
    kept.commit((RUN_B, 0, steps(1)), decisions=2)
    kept.commit((RUN_A, 2, steps(3)), (RUN_B, 1, steps(2)), decisions=0)
    kept.commit((RUN_A, 5, steps(1)), epoch=2)
    kept.commit(decisions=3, epoch=2)
    return kept


@pytest.fixture
def run_a() -> bytes:
    return RUN_A


@pytest.fixture
def new_evidence() -> type[Evidence]:
    return Evidence
