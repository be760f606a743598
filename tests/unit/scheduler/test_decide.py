"""What a look at a schedule leads to, by policy."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from rco.kit.clock import MICROS
from rco.model.schedule import BUFFER_MAX, Backfill, Due, Schedule, ScheduleSpec, ScheduleState
from rco.scheduler.decide import BATCH, Verdict, decide
from rco.scheduler.ticks import Ticks

T0 = 1_800_000_000 * MICROS
RUN, OTHER = b"r" * 16, b"o" * 16


def made(state: dict[str, Any] | None = None, **spec: Any) -> Schedule:
    known: dict[str, Any] = {"workflow": "w", "every_s": 10}
    return Schedule(
        schedule_id=b"s" * 16,
        name="s",
        namespace="default",
        spec=ScheduleSpec(**(known | spec)),
        state=ScheduleState(**({"decided_us": T0} | (state or {}))),
        revision=1,
        origin="api",
        created_us=T0,
        updated_us=T0,
    )


def at(schedule: Schedule, s: float, *open_runs: bytes) -> Verdict:
    return decide(schedule, Ticks(schedule.spec, {}), T0 + round(s * MICROS), lambda run: run in open_runs)


def ticks(dues: list[Due] | tuple[Due, ...]) -> list[int]:
    return [(due.tick_us - T0) // MICROS for due in dues]


def test_nothing_before_its_time():
    verdict = at(made(), 9.999)
    assert (verdict.starts, verdict.due_us, verdict.more) == ([], T0 + 10 * MICROS, False)
    assert verdict.state == made().state


def test_a_tick_is_started_once_its_time_has_come():
    verdict = at(made(), 10)
    assert ticks(verdict.starts) == [10]
    assert verdict.state.decided_us == T0 + 10 * MICROS
    assert verdict.due_us == T0 + 20 * MICROS


@pytest.mark.parametrize(
    ("overlap", "starts", "waiting", "passed"),
    [
        ("skip", [], [], ["overlap", "overlap"]),
        ("buffer_one", [], [10], ["overlap"]),
        ("buffer_all", [], [10, 20], []),
        ("cancel_other", [], [20], ["superseded"]),
        ("terminate_other", [], [20], ["superseded"]),
        ("allow", [10, 20], [], []),
    ],
)
def test_a_run_is_open(overlap, starts, waiting, passed):
    verdict = at(made({"running": (RUN,)}, overlap=overlap), 25, RUN)
    assert ticks(verdict.starts) == starts
    assert ticks(verdict.state.waiting) == waiting
    assert [one.reason for one in verdict.passed] == passed
    assert verdict.stop == (overlap if overlap.endswith("_other") else None)
    assert verdict.state.running == (RUN,)
    assert verdict.state.skipped == len(passed)


def test_who_waits_starts_when_the_run_has_closed():
    waiting = (Due(T0 + 10 * MICROS), Due(T0 + 20 * MICROS))
    verdict = at(
        made({"running": (RUN,), "waiting": waiting, "decided_us": T0 + 20 * MICROS}, overlap="buffer_all"), 25
    )
    assert ticks(verdict.starts) == [10]
    assert ticks(verdict.state.waiting) == [20]
    assert verdict.state.running == ()


def test_who_waits_goes_before_who_comes():
    waiting = (Due(T0 + 10 * MICROS),)
    schedule = made({"running": (RUN,), "waiting": waiting, "decided_us": T0 + 10 * MICROS}, overlap="buffer_all")
    verdict = at(schedule, 20)
    assert (ticks(verdict.starts), ticks(verdict.state.waiting)) == ([10], [20])


def test_the_line_is_bounded():
    waiting = tuple(Due(T0 + n) for n in range(BUFFER_MAX))
    verdict = at(made({"running": (RUN,), "waiting": waiting}, overlap="buffer_all"), 10, RUN)
    assert [one.reason for one in verdict.passed] == ["buffer full"]


@pytest.mark.parametrize(
    ("catch_up", "starts", "missed"),
    [
        # Every 10 s, found 125 s later: those up to 60 s late are started whatever the policy.
        ("all", list(range(10, 130, 10)), 0),
        ("latest", list(range(60, 130, 10)), 5),
        ("none", list(range(70, 130, 10)), 6),
    ],
)
def test_catching_up(catch_up, starts, missed):
    verdict = at(made(overlap="allow", catch_up=catch_up), 125)
    assert ticks(verdict.starts) == starts
    assert verdict.state.missed == missed
    assert sum(one.count for one in verdict.passed) == missed
    assert verdict.state.decided_us == T0 + 120 * MICROS


def test_nothing_is_started_that_is_later_than_the_window():
    verdict = at(made(overlap="allow", catch_up="all", catch_up_window_s=100), 205)
    assert ticks(verdict.starts) == list(range(110, 210, 10))
    assert verdict.state.missed == 10
    assert verdict.passed[0].first_us == T0 + 10 * MICROS
    assert verdict.passed[0].last_us == T0 + 100 * MICROS


def test_a_year_of_seconds_is_passed_over_without_counting_them():
    schedule = made(every_s=1, catch_up="latest", catch_up_window_s=60)
    looks, now_s = 0, 400 * 86_400
    while True:
        verdict = at(schedule, now_s)
        looks += 1
        schedule = replace(schedule, state=replace(verdict.state, running=()))
        if not verdict.more:
            break
        assert looks < 10
    assert schedule.state.decided_us == T0 + now_s * MICROS


def test_more_than_a_batch_is_decided_in_several_looks():
    schedule = made(every_s=1, overlap="allow", catch_up="all")
    first = at(schedule, 250)
    assert (len(first.starts), first.more) == (BATCH, True)
    second = at(replace(schedule, state=first.state), 250)
    third = at(replace(schedule, state=second.state), 250)
    assert ticks(first.starts + second.starts + third.starts) == list(range(1, 251))
    assert not third.more


def test_a_pause_holds_ticks_and_not_what_people_ask_for():
    asked = (Due(T0 + 5, "trigger", OTHER, "allow"),)
    waiting = (Due(T0 + 1),)
    schedule = made({"paused": True, "asked": asked, "waiting": waiting}, overlap="buffer_all")
    verdict = at(schedule, 100)
    assert [due.kind for due in verdict.starts] == ["trigger"]
    assert (verdict.due_us, verdict.done) == (None, False)
    assert verdict.state.decided_us == T0
    assert verdict.state.waiting == waiting


def test_a_trigger_follows_the_policy_it_was_asked_with():
    schedule = made({"running": (RUN,), "asked": (Due(T0, "trigger", OTHER, "skip"),)}, overlap="allow", every_s=1000)
    assert [one.reason for one in at(schedule, 1, RUN).passed] == ["overlap"]
    schedule = made({"running": (RUN,), "asked": (Due(T0, "trigger", OTHER, "allow"),)}, every_s=1000)
    assert [due.run_id for due in at(schedule, 1, RUN).starts] == [OTHER]


def test_a_backfill_goes_through_its_ticks_one_after_the_other():
    back = (Backfill(T0 - 30 * MICROS, T0, "buffer_all"),)
    schedule = made({"backfills": back}, every_s=10)
    seen: list[int] = []
    for _ in range(20):
        verdict = at(schedule, 1)
        seen += ticks(verdict.starts)
        schedule = replace(schedule, state=verdict.state)
        if not (verdict.state.waiting or verdict.state.backfills):
            break
        assert len(verdict.state.waiting) <= 1
    assert seen == [-20, -10, 0]


def test_a_backfill_beside_each_other_is_done_in_batches():
    back = (Backfill(T0 - 250 * MICROS, T0, "allow"),)
    schedule = made({"backfills": back}, every_s=1, overlap="allow")
    seen: list[int] = []
    looks = 0
    while schedule.state.backfills:
        verdict = at(schedule, 0.5)
        assert len(verdict.starts) <= BATCH
        assert verdict.more == bool(verdict.state.backfills)
        seen += ticks(verdict.starts)
        schedule = replace(schedule, state=verdict.state)
        looks += 1
    assert seen == list(range(-249, 1))
    assert looks == 3


def test_the_end():
    schedule = made(every_s=None, at=["2027-01-15T08:00:10Z"])
    verdict = at(schedule, 10)
    assert (ticks(verdict.starts), verdict.due_us, verdict.done) == ([10], None, False)
    after = replace(schedule, state=replace(verdict.state, running=(RUN,)))
    assert not at(after, 11, RUN).done
    assert at(after, 11).done
