"""A bucket for each caller: bounded, and nobody gets more by being forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rco.bridge.callers import CallerBuckets, caller_key
from rco.kit.bucket import TokenBucket
from rco.testing import ManualClock

STEPS = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.1, 0.5, 3.0])), max_size=120)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, cap=st.integers(1, 6))
def test_no_caller_gets_more_than_a_bucket_of_its_own_would_give(steps, cap) -> None:
    clock = ManualClock()
    bounded = CallerBuckets(2.0, 3, clock, callers_cap=cap)
    own: dict[int, TokenBucket] = {}
    for caller, pause_s in steps:
        clock.move(pause_s)
        allowed = bounded.take(str(caller)) == 0.0
        would = own.setdefault(caller, TokenBucket(2.0, 3, clock))
        if allowed:
            assert would.take() == 0.0
        assert len(bounded) <= cap


@settings(max_examples=70, deadline=None)
@given(steps=STEPS)
def test_with_room_for_all_each_has_exactly_its_own(steps) -> None:
    clock = ManualClock()
    bounded = CallerBuckets(2.0, 3, clock, callers_cap=100)
    own: dict[int, TokenBucket] = {}
    for caller, pause_s in steps:
        clock.move(pause_s)
        assert bounded.take(str(caller)) == pytest.approx(own.setdefault(caller, TokenBucket(2.0, 3, clock)).take())


def test_a_flood_of_addresses_stays_in_its_bounds_and_leaves_who_was_there_alone() -> None:
    clock = ManualClock()
    buckets = CallerBuckets(1.0, 5, clock, callers_cap=100)
    assert buckets.take("friend") == 0.0
    let_in = sum(buckets.take(f"stranger-{n}") == 0.0 for n in range(100_000))
    assert len(buckets) == 100
    assert let_in == 99 + 5
    assert [buckets.take("friend") for _ in range(4)] == [0.0] * 4
    clock.move(5.0)
    assert buckets.take("late") == 0.0
    assert len(buckets) < 101


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("2001:db8::zz", "2001:db8::zz", True),
        ("", "", True),
    ],
)
def test_who_counts_as_one(one: str, other: str, same: bool) -> None:
    assert (caller_key(one) == caller_key(other)) is same


def test_who_used_the_shared_bucket_does_not_begin_with_a_full_one() -> None:
    clock = ManualClock()
    buckets = CallerBuckets(2.0, 3, clock, callers_cap=1)
    assert buckets.take("resident") == 0.0
    clock.move(1.49)
    assert [buckets.take("new") for _ in range(3)] == [0.0] * 3  # of the shared one
    clock.move(0.01)  # the resident is forgotten, its bucket must be full
    assert buckets.take("new") > 0.0
