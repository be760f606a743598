"""Whoever touches an export is found out: any bit, any line."""

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.audit.chain import ChainSealer, decisions_json
from rco.audit.export import export, export_run
from rco.audit.link import GENESIS, leaf_digest
from rco.audit.verify import verify
from rco.kit.canonical import canonical_json
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal

RULES = settings(derandomize=True, max_examples=30, deadline=None, database=None)
RUNS = [bytes((letter,)) * 16 for letter in b"AB"]
sealer = ChainSealer()

# For each commit: which runs it has a segment of, how many decisions, and whether the epoch rises with it.
commits = st.lists(
    st.tuples(st.sets(st.sampled_from([0, 1])), st.integers(0, 2), st.booleans()), min_size=1, max_size=5
)


class Kept:
    """A chain in memory behind the two families of a reader."""

    def __init__(self, shape: list[tuple[set[int], int, bool]]) -> None:
        self.chain: list[Seal] = []
        self.rows: list[Segment] = []
        epoch, seqs = 1, [0, 0]
        for n, (runs, count, rise) in enumerate(shape, 1):
            epoch += rise
            leaves = b""
            for run in sorted(runs):
                data = encode_record(Record(Kind.STEP_END, f"s#{seqs[run]}", n, b"f" * 8, [True, n, 1])) * 2
                leaves += sealer.leaf(RUNS[run], seqs[run], data)
                self.rows.append(Segment(RUNS[run], seqs[run], n, data))
                seqs[run] += 2
            decisions = [Decision(verb=Verb.CALL, at_us=n, facts={"status": 200 + i}) for i in range(count)]
            prev = self.chain[-1].hash if self.chain else GENESIS
            seal = sealer.seal(writer="w", n=n, epoch=epoch, at_us=n, prev=prev, leaves=leaves, decisions=decisions)
            self.chain.append(seal)

    async def chains(self) -> list[str]:
        return [""] if self.chain else []

    async def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        return [seal for seal in self.chain if seal.n >= first_n][:limit]

    async def head(self, chain: str = "") -> Seal | None:
        return self.chain[-1] if self.chain else None

    async def journal(self, run_id: bytes) -> list[Segment]:
        return [row for row in self.rows if row.run_id == run_id]

    async def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        return [row for row in self.rows if first_n <= row.n <= last_n]

    def lines(self) -> list[bytes]:
        async def read() -> list[bytes]:
            return [line async for line in export(self, journal=True)]

        return asyncio.run(read())


def holds(lines: list[bytes]) -> bool:
    """As strict as it gets without a head from outside: a segment that is left out counts."""
    return verify(lines, complete=True).ok


def again(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True) if b"\n" in text else [text]


@RULES
@given(commits)
def test_what_was_not_touched_holds(shape: list[tuple[set[int], int, bool]]) -> None:
    kept = Kept(shape)
    lines = kept.lines()
    verdict = verify(lines, expect_head=kept.chain[-1].hash.hex(), complete=True)
    assert verdict.ok, verdict.text()
    assert verdict.segments == len(kept.rows)
    for run in RUNS:
        if any(row.run_id == run for row in kept.rows):

            async def proof(run: bytes = run) -> list[bytes]:
                return [line async for line in export_run(kept, run)]

            assert verify(asyncio.run(proof())).ok


@settings(RULES, max_examples=120)
@given(commits, st.data())
def test_any_flipped_bit_is_found(shape: list[tuple[set[int], int, bool]], data: st.DataObject) -> None:
    text = bytearray(b"".join(Kept(shape).lines()))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= 1 << data.draw(st.integers(0, 7))
    assert not holds(again(bytes(text)))


def test_every_bit_of_one_small_export() -> None:
    text = b"".join(Kept([({0}, 1, False)]).lines())
    for bit in range(len(text) * 8):
        touched = bytearray(text)
        touched[bit // 8] ^= 1 << bit % 8
        assert not holds(again(bytes(touched))), (
            f"bit {bit % 8} of byte {bit // 8}: {text[bit // 8 - 20 : bit // 8 + 20]!r}"
        )


@RULES
@given(commits, st.data())
def test_any_removed_line_is_found(shape: list[tuple[set[int], int, bool]], data: st.DataObject) -> None:
    lines = Kept(shape).lines()
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    assert not holds(lines)


@RULES
@given(commits, st.data())
def test_any_repeated_line_is_found(shape: list[tuple[set[int], int, bool]], data: st.DataObject) -> None:
    lines = Kept(shape).lines()
    line = lines[data.draw(st.integers(0, len(lines) - 1))]
    lines.insert(data.draw(st.integers(0, len(lines))), line)
    assert not holds(lines)


@RULES
@given(commits, st.data())
def test_lines_in_another_order_are_found(shape: list[tuple[set[int], int, bool]], data: st.DataObject) -> None:
    """Except segments of one commit among themselves, whose order says nothing."""
    lines = Kept(shape).lines()
    shuffled = data.draw(st.permutations(lines))

    def meaning(ordered: list[bytes]) -> list[object]:
        blocks: list[object] = []
        for line in ordered:
            if b'"line":"journal"' in line and blocks and isinstance(blocks[-1], set):
                blocks[-1].add(line)
            else:
                blocks.append({line} if b'"line":"journal"' in line else line)
        return blocks

    assert holds(shuffled) is (meaning(shuffled) == meaning(lines))


@RULES
@given(commits, st.data())
def test_any_cut_end_is_found(shape: list[tuple[set[int], int, bool]], data: st.DataObject) -> None:
    text = b"".join(Kept(shape).lines())
    # Without its very last line feed an export still says the same.
    stop = data.draw(st.integers(0, len(text) - 2))
    assert not holds(again(text[:stop]) if stop else [])


@RULES
@given(st.binary(max_size=40), st.integers(0, 2**64 - 1), st.binary(max_size=40), st.integers(0, 2**64 - 1))
def test_two_segments_share_a_leaf_only_when_they_are_the_same(
    one: bytes, seq: int, other: bytes, other_seq: int
) -> None:
    same = (one, seq) == (other, other_seq)
    assert (leaf_digest(RUNS[0], seq, one) == leaf_digest(RUNS[0], other_seq, other)) is same
    assert leaf_digest(RUNS[0], seq, one) != leaf_digest(RUNS[1], seq, one)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
facts = st.dictionaries(
    st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=8),
    text | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1),
    max_size=4,
)
decisions = st.builds(
    lambda verb, at_us, allow, actor, reason, facts: Decision(
        verb=verb, at_us=at_us, allow=allow, actor=actor, reason=reason, facts=facts
    ),
    st.sampled_from(Verb),
    st.integers(0, 2**53 - 1),
    st.booleans(),
    text,
    text,
    facts,
)


@RULES
@given(st.lists(decisions, max_size=4))
def test_decisions_are_canonical_json(made: list[Decision]) -> None:
    assert decisions_json(made) == canonical_json(msgspec.to_builtins(made))
