"""Rules of ticks and of looks at a schedule, over drawn schedules and times."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rco.kit.clock import MICROS
from rco.model.schedule import Due, Schedule, ScheduleSpec, ScheduleState
from rco.scheduler.decide import BATCH, decide
from rco.scheduler.ticks import Ticks

T0 = 1_790_000_000 * MICROS
ZONES = ("UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia")
field = st.sampled_from(("*", "*/7", "0", "3", "1-5", "2,9"))
crons = st.builds(
    lambda minute, hour, day, weekday: f"{minute} {hour} {day} * {weekday}",
    st.one_of(field, st.just("59")),
    field,
    st.sampled_from(("*", "?", "1", "L", "15W", "*/10")),
    st.sampled_from(("*", "?", "MON", "1-5", "5L", "2#2")),
)
timings = st.fixed_dictionaries(
    {"zone": st.sampled_from(ZONES)},
    optional={
        "cron": st.lists(crons, min_size=1, max_size=2),
        "every_s": st.integers(1, 100_000),
        "skipped": st.sampled_from(("auto", "after", "skip")),
        "repeated": st.sampled_from(("auto", "once", "twice")),
        "jitter_s": st.sampled_from((0, 1, 600)),
    },
).filter(lambda spec: "cron" in spec or "every_s" in spec)


@given(timings, st.integers(0, 400 * 86_400), st.integers(0, 10_000_000))
@settings(max_examples=150, deadline=None)
def test_a_tick_is_the_first_after_whatever_lies_before_it(spec: dict[str, Any], s: int, back_us: int) -> None:
    ticks = Ticks(ScheduleSpec(workflow="w", **spec), {})
    at_us = T0 + s * MICROS
    first = ticks.after(at_us)
    assert first is None or first > at_us
    if first is not None:
        # From anywhere between, the same one is found; nothing lies before it.
        assert ticks.after(max(at_us, first - 1 - back_us)) == first
        second = ticks.after(first)
        fire = ticks.fire_us(b"s" * 16, first)
        assert first <= fire
        assert second is None or (second > first and fire < second)


looks = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=40)


@given(st.sampled_from(("skip", "buffer_one", "buffer_all", "cancel_other", "allow")), st.integers(1, 20), looks)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_each_tick_is_decided_once(overlap: Any, every_s: int, moves: list[tuple[int, bool]]) -> None:
    """Time passes, runs close or not, looks come when they come; each is at most 30 s after the one before."""
    spec = ScheduleSpec(workflow="w", every_s=every_s, overlap=overlap, catch_up="none")
    state = ScheduleState(decided_us=T0)
    schedule = Schedule(
        schedule_id=b"s" * 16,
        name="s",
        namespace="default",
        spec=spec,
        state=state,
        revision=1,
        origin="api",
        created_us=T0,
        updated_us=T0,
    )
    ticks = Ticks(spec, {})
    decided: Counter[int] = Counter()
    now_us, number = T0, 0
    for passes_s, closes in moves:
        now_us += passes_s * MICROS
        verdict = decide(schedule, ticks, now_us, lambda _, closes=closes: not closes)
        assert len(verdict.starts) <= BATCH
        decided.update(due.tick_us for due in verdict.starts)
        decided.update(one.first_us for one in verdict.passed)
        open_now = len(verdict.state.running)
        if overlap != "allow":
            assert open_now + len(verdict.starts) <= 1
        runs = tuple((number + at).to_bytes(16, "big") for at in range(len(verdict.starts)))
        number += len(runs)
        running = () if overlap == "allow" else verdict.state.running + runs
        schedule = replace(schedule, state=replace(verdict.state, running=running))
        assert verdict.due_us is None or verdict.due_us > now_us
    waiting: tuple[Due, ...] = schedule.state.waiting
    decided.update(due.tick_us for due in waiting)
    wanted = list(ticks.between(T0, now_us))
    assert sorted(decided) == wanted
    assert set(decided.values()) <= {1}
