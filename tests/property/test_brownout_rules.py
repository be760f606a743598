"""The sentinel against one that remembers everything: it begins when it must, ends by itself, and does not flap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rco.bridge.brownout import CELL_S, BrownoutSettings, BrownoutThresholds, Sentinel

THRESHOLDS = BrownoutThresholds(error_rate_5m=0.05, upstream_p95_ms=500, queue_share=0.8)
GOOD, ERROR, FAST, SLOW = "good", "error", "fast", "slow"
# (seconds that pass, what happens, how often)
STEP = st.tuples(
    st.sampled_from([0.0, 0.3, 1.0, 7.0, 31.0, 120.0]),
    st.sampled_from([GOOD, GOOD, GOOD, ERROR, FAST, FAST, SLOW]),
    st.integers(1, 60),
)


def made() -> Sentinel:
    return Sentinel(BrownoutSettings(thresholds=THRESHOLDS), 0.0)


def happen(sentinel: Sentinel, now_s: float, what: str) -> None:
    if what in (GOOD, ERROR):
        sentinel.answered(now_s, what == ERROR)
    else:
        sentinel.asked(now_s, 0.6 if what == SLOW else 0.1)


@settings(max_examples=400, deadline=None)
@given(steps=st.lists(STEP, max_size=60))
def test_it_begins_exactly_when_the_window_says_so(steps) -> None:
    sentinel = made()
    now_s = 0.0
    seen: list[tuple[int, str]] = []
    for pause_s, what, times in steps:
        now_s += pause_s
        for _ in range(times):
            happen(sentinel, now_s, what)
            seen.append((int(now_s / CELL_S), what))
        window = [one for cell, one in seen if cell > int(now_s / CELL_S) - 60]
        due = set()
        for name, good, bad in (("error_rate", GOOD, ERROR), ("upstream_p95", FAST, SLOW)):
            counted = [one for one in window if one in (good, bad)]
            worse = counted.count(bad)
            if len(counted) >= 20 and worse >= 5 and worse > 0.05 * len(counted):
                due.add(name)
        judged = sentinel.look(now_s)
        assert (judged.active, set(judged.causes)) == (bool(due), due)
        if judged.active:
            return


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEP, max_size=60), good=st.integers(0, 50))
def test_whatever_was_it_ends_within_a_calm_minute_and_does_not_begin_again_by_what_it_ended(steps, good) -> None:
    sentinel = made()
    now_s = 0.0
    for pause_s, what, times in steps:
        now_s += pause_s
        for _ in range(times):
            happen(sentinel, now_s, what)
        sentinel.look(now_s)
    looks = 0
    if not sentinel.active:
        return
    while sentinel.active:
        now_s += 1.0
        looks += 1
        for _ in range(good):
            sentinel.answered(now_s, False)
            sentinel.asked(now_s, 0.1)
        sentinel.look(now_s)
        assert looks <= 60 + 2 * CELL_S
    for _ in range(300):
        now_s += 1.0
        assert not sentinel.look(now_s).active
        sentinel.answered(now_s, False)


@settings(max_examples=100, deadline=None)
@given(bad=st.sampled_from([ERROR, SLOW]), every_s=st.floats(0.2, 9.0))
def test_while_its_probes_fail_it_stays(bad, every_s) -> None:
    sentinel = made()
    for _ in range(50):
        happen(sentinel, 1.0, bad)
    assert sentinel.look(1.0).changed
    now_s = 1.0
    while now_s < 1000:
        now_s += 1.0
        if sentinel.lets_through(now_s):
            happen(sentinel, now_s, bad)
        assert sentinel.look(now_s).active
    began, ended = now_s, 0.0
    while sentinel.active:
        now_s += 1.0
        if sentinel.lets_through(now_s):
            happen(sentinel, now_s, GOOD if bad == ERROR else FAST)
        sentinel.look(now_s)
        ended = now_s
    assert ended - began <= 75  # seconds after the fault is gone; promised are five minutes


@settings(max_examples=200, deadline=None)
@given(shares=st.lists(st.tuples(st.floats(0.5, 5.0), st.floats(0.0, 1.0)), max_size=200))
def test_a_queue_must_be_full_for_a_minute_without_a_break(shares) -> None:
    sentinel = made()
    now_s = 0.0
    since: float | None = None
    for pause_s, share in shares:
        now_s += pause_s
        sentinel.filled(now_s, share)
        since = None if share <= 0.8 else now_s if since is None else since
        judged = sentinel.look(now_s)
        assert ("queue" in judged.causes) is (since is not None and now_s - since >= 60.0)
        if judged.active:
            return


def test_probes_are_one_in_five_seconds() -> None:
    sentinel = made()
    let_in = [now / 10 for now in range(1000) if sentinel.lets_through(now / 10)]
    assert len(let_in) == 19
    assert all(later - sooner >= 5.0 for sooner, later in pairwise(let_in))


def test_it_may_be_told_only_to_watch() -> None:
    sentinel = Sentinel(BrownoutSettings(enabled=False, thresholds=THRESHOLDS), 0.0)
    for _ in range(50):
        sentinel.answered(1.0, True)
    assert sentinel.look(1.0).active
    assert not sentinel.active


def test_what_went_wrong_just_before_a_cell_ended_is_not_overlooked() -> None:
    sentinel = made()
    for _ in range(50):
        sentinel.answered(1.0, True)
    assert sentinel.look(1.0).active
    now_s = 1.0
    while now_s < 100.0:  # looks in the middle of each second, errors at the very end of each cell
        now_s += 0.5
        if now_s % CELL_S == 0:
            sentinel.answered(now_s - 0.001, True)
            sentinel.answered(now_s, False)
        sentinel.look(now_s)
    assert sentinel.active
