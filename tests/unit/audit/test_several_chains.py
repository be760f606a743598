"""Several chains in one export: each is checked by itself, and none can be left out, cut or swapped."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from rco.audit.chain import ChainSealer
from rco.audit.export import export, export_run
from rco.audit.link import GENESIS
from rco.audit.verify import verify
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal

RUN = b"M" * 16


@dataclasses.dataclass
class Chains:
    """Two nodes' chains, as the readers of evidence see them."""

    links: dict[str, list[Seal]] = dataclasses.field(default_factory=dict)
    rows: list[Segment] = dataclasses.field(default_factory=list)

    def commit(self, chain: str, run_id: bytes, first_seq: int, count: int = 1) -> None:
        sealer = ChainSealer()
        before = self.links.setdefault(chain, [])
        n = len(before) + 1
        data = b"".join(
            encode_record(Record(Kind.STATE, f"k{first_seq + at}", 1, b"", [first_seq + at])) for at in range(count)
        )
        self.rows.append(Segment(run_id, first_seq, n, data, chain))
        before.append(
            sealer.seal(
                writer=chain,
                n=n,
                epoch=1,
                at_us=n,
                prev=before[-1].hash if before else GENESIS,
                leaves=sealer.leaf(run_id, first_seq, data),
                decisions=[Decision(verb=Verb.CONFIG, at_us=n, subject=chain)],
            )
        )

    async def chains(self) -> list[str]:
        return sorted(self.links, reverse=True)

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        return [seal for seal in self.links[chain] if seal.n >= first_n][:limit]

    async def head(self, chain: str = "") -> Seal | None:
        return self.links[chain][-1] if self.links[chain] else None

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        return [row for row in self.rows if row.chain == chain and first_n <= row.n <= last_n]

    async def journal(self, run_id: bytes) -> list[Segment]:
        return sorted((row for row in self.rows if row.run_id == run_id), key=lambda row: row.first_seq)


@pytest.fixture
def kept() -> Chains:
    """A run that began on b, moved to a and back, and others beside it."""
    chains = Chains()
    chains.links["c/0"] = []
    for chain, run_id, first_seq in (
        ("b/0", RUN, 0),
        ("b/0", b"O" * 16, 0),
        ("a/1", RUN, 2),
        ("a/1", b"P" * 16, 0),
        ("b/0", RUN, 4),
    ):
        chains.commit(chain, run_id, first_seq, 2)
    return chains


async def whole(kept: Chains) -> list[bytes]:
    return [line async for line in export(kept, journal=True)]


async def test_all_chains_are_in_one_export_and_verify(kept) -> None:
    lines = await whole(kept)
    verdict = verify(lines, complete=True)
    assert verdict.ok, verdict.problems
    assert (verdict.links, verdict.segments, verdict.absent, verdict.anchored) == (5, 5, 0, True)
    header = msgspec.json.decode(lines[0])
    assert [(one["chain"], one["first"], one["last"]) for one in header["chains"]] == [
        ("a/1", 1, 2),
        ("b/0", 1, 3),
        ("c/0", 1, 0),
    ]
    # One hash to note down stands for them all.
    assert verdict.head == header["head"]
    assert verify(lines, expect_head=verdict.head).ok
    assert not verify(lines, expect_head=header["chains"][0]["head"]).ok


async def test_a_run_that_moved_is_proven_over_its_chains(kept) -> None:
    lines = [line async for line in export_run(kept, RUN)]
    verdict = verify(lines)
    assert verdict.ok, verdict.problems
    assert verdict.segments == 3
    without = [line for line in lines if b'"first_seq":2' not in line]
    assert len(without) == len(lines) - 1
    assert any("the run's journal goes on at 4" in str(problem) for problem in verify(without).problems)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: lines[:-2], "ends at link 2, but the header says 3"),
        (lambda lines: [*lines[:3], *lines[5:]], "ends at link 1, but the header says 2"),
        (lambda lines: [lines[0], *lines[5:]], "chain a/1 ends at link 0"),
        (lambda lines: [lines[0], *lines[5:], *lines[1:5]], "or stands too late"),
        (lambda lines: [lines[0], *lines[3:]], "begins at link 2, but the header says 1"),
        (lambda lines: [lines[0].replace(b'"last":5', b'"last":4'), *lines[1:]], "counts other links"),
        (lambda lines: [lines[0].replace(b"c/0", b"b/0"), *lines[1:]], "chains twice"),
        (lambda lines: [*lines[:5], lines[5].replace(b'"writer":"b/0"', b'"writer":"a/1"'), *lines[6:]], "hash is"),
        (lambda lines: [*lines, lines[1].replace(b"a/1", b"d/0")], "no chain of this export"),
    ],
)
async def test_what_is_left_out_cut_or_swapped_shows(kept, spoil, said) -> None:
    lines = await whole(kept)
    spoiled = spoil(lines)
    assert spoiled != lines
    verdict = verify(spoiled)
    assert not verdict.ok
    assert any(said in str(problem) for problem in verdict.problems), verdict.problems


async def test_a_chain_that_is_struck_from_the_header_as_well_shows_by_the_head(kept) -> None:
    """Against whoever can write a whole new file there is the hash that was noted elsewhere."""
    head = verify(await whole(kept)).head
    del kept.links["b/0"]
    kept.rows = [row for row in kept.rows if row.chain != "b/0"]
    shortened = await whole(kept)
    assert verify(shortened).ok
    assert not verify(shortened, expect_head=head).ok


async def test_one_chain_is_exported_as_ever(kept) -> None:
    for chain in ("b/0", "c/0"):
        del kept.links[chain]
    lines = await whole(kept)
    assert b"chains" not in lines[0]
    assert verify(lines).ok
