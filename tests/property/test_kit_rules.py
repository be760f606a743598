"""Back-off, buckets, times and segments within their bounds, whatever comes."""

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rco.kit.backoff import Backoff
from rco.kit.bucket import TokenBucket
from rco.kit.clock import iso, parse_iso
from rco.kit.ids import Ids
from rco.model.journal import Record, decode_segment, encode_record

RULES = settings(derandomize=True, max_examples=50, deadline=None, database=None)

backoffs = st.builds(
    lambda first, factor, more, jitter: Backoff(first_s=first, factor=factor, cap_s=first + more, jitter=jitter),
    st.floats(1e-6, 1e3),
    st.floats(1, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 1),
)


@RULES
@given(backoffs, st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_within_its_bounds(backoff: Backoff, attempt: int, drawn: float) -> None:
    bare = Backoff(first_s=backoff.first_s, factor=backoff.factor, cap_s=backoff.cap_s, jitter=0)
    without = bare.delay_s(attempt, lambda: drawn)
    with_jitter = backoff.delay_s(attempt, lambda: drawn)
    assert min(backoff.first_s, backoff.cap_s) <= without <= backoff.cap_s
    assert without * (1 - backoff.jitter) * (1 - 1e-12) <= with_jitter <= without
    assert bare.delay_s(attempt + 1, lambda: 0.0) >= without


class HandClock:
    def __init__(self, at_us: int = 0) -> None:
        self.at = 0.0
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at


@RULES
@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 60)), max_size=60),
)
def test_a_bucket_never_lets_more_through_than_rate_and_burst(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    clock = HandClock()
    bucket = TokenBucket(rate, burst, clock)
    taken: list[tuple[float, int]] = []
    for pause, asked_tokens in asked:
        clock.at += pause
        before = clock.at
        tokens = min(asked_tokens, burst)
        wait_s = bucket.take(tokens)
        assert wait_s >= 0
        if wait_s == 0:
            taken.append((before, tokens))
    # In every window between two takings, not only from the start.
    for i, (begin, _) in enumerate(taken):
        for j in range(i, len(taken)):
            through = sum(tokens for _, tokens in taken[i : j + 1])
            assert through <= burst + rate * (taken[j][0] - begin) + 1e-6


@RULES
@given(st.lists(st.integers(0, 2**47 * 1000), min_size=1, max_size=60))
def test_identities_grow_whatever_the_clock_does(times_us: list[int]) -> None:
    clock = HandClock()
    ids = Ids(clock)
    made = []
    for at_us in times_us:
        clock.at_us = at_us
        made.append(ids.uuid7()[:8])
    assert all(one < next_ for one, next_ in pairwise(made))
    assert all(raw[6] >> 4 == 7 for raw in made)


@RULES
@given(st.datetimes().map(lambda at: at.isoformat(timespec="microseconds") + "Z"))
def test_a_time_keeps_its_text(text: str) -> None:
    assert iso(parse_iso(text)) == text


@RULES
@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_a_moment_keeps_its_number(at_us: int) -> None:
    assert parse_iso(iso(at_us)) == at_us


bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
records = st.builds(Record, st.integers(1, 17), text, st.integers(0, 2**53), st.binary(max_size=8), bodies)


@RULES
@given(st.lists(records, max_size=5))
def test_a_segment_reads_back(made: list[Record]) -> None:
    assert decode_segment(b"".join(map(encode_record, made))) == made


@RULES
@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_cut_segment_is_never_taken_for_a_whole_one(made: list[Record], data: st.DataObject) -> None:
    frames = [encode_record(record) for record in made]
    whole = b"".join(frames)
    stop = data.draw(st.integers(0, len(whole) - 1))
    ends = [sum(map(len, frames[:count])) for count in range(len(frames))]
    if stop in ends:
        # A cut between two records cannot be seen here; that is what the chain is for.
        assert decode_segment(whole[:stop]) == made[: ends.index(stop)]
    else:
        with pytest.raises(ValueError, match="is cut"):
            decode_segment(whole[:stop])


@RULES
@given(st.lists(records, min_size=1, max_size=3), st.binary(min_size=1, max_size=3))
def test_what_hangs_on_to_a_segment_is_noticed(made: list[Record], tail: bytes) -> None:
    assume(len(tail) < 4)
    with pytest.raises(ValueError, match="is cut"):
        decode_segment(b"".join(map(encode_record, made)) + tail)
