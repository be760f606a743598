"""Schedules over real stores: each tick once, by policy, over restarts and on several nodes."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rco.errors import Conflict, Misuse, NotFound, Overloaded
from rco.kit.clock import MICROS, iso, parse_iso
from rco.kit.ids import id_bytes
from rco.model.decision import Decision, Verb
from rco.model.run import Outcome
from rco.model.schedule import ScheduleSpec
from rco.operations.schedule_declared import reconcile_schedules
from rco.operations.schedule_make import delete_schedule, replace_schedule
from rco.operations.schedule_steer import backfill_schedule, pause_schedule, resume_schedule, trigger_schedule
from rco.scheduler.options import SchedulerOptions

from .conftest import OPERATOR, Node

HOUR = 3600.0


async def ticks_of(node: Node) -> list[str]:
    """The ticks that have a run, by their decisions, in order."""
    found = await node.decisions()
    return [str(one.facts["tick"]) for one in found if one.verb is Verb.START and "tick" in one.facts]


async def test_a_tick_starts_a_run_at_its_time_and_none_before(node: Node) -> None:
    made = await node.create(every_s=HOUR, input={"site": 7}, tick_field="at")
    assert made.next_at is not None
    await node.move((parse_iso(made.next_at) - node.clock.now_us()) / MICROS - 1.0)
    assert await node.runs() == []
    await node.move(1.0)
    await node.started(1)
    [run] = await node.runs()
    finished = await node.engine.result(run.run_id, 10)
    assert finished is not None
    assert finished.value == {"site": 7, "at": made.next_at}
    assert run.key == f"schedule:{made.id}:{made.next_at}"
    assert await ticks_of(node) == [made.next_at]
    assert all(0 <= late < 5 for late in node.lateness)


async def test_every_tick_has_one_run_over_a_restart(nodes: Any, node: Node) -> None:
    await node.create(every_s=HOUR, overlap="allow", catch_up="all", catch_up_window_s=10 * 86_400)
    for hour in range(1, 4):
        await node.move(HOUR)
        await node.started(hour)
    await node.stop()
    node.clock.ahead_us += round(3 * HOUR * MICROS)
    other = await nodes("node-2")
    schedule = await other.started(6)
    found = sorted(one.key or "" for one in await other.runs())
    assert len(set(found)) == 6
    assert schedule.state.missed == 0


async def test_what_came_while_nobody_was_there_is_caught_up_by_policy(nodes: Any, node: Node) -> None:
    await node.create("latest", every_s=HOUR, overlap="allow", catch_up_window_s=86_400)
    await node.create("none", every_s=HOUR, overlap="allow", catch_up="none", catch_up_window_s=86_400)
    await node.stop()
    # Half an hour past the fifth tick from now.
    into = node.clock.now_us() % round(HOUR * MICROS)
    node.clock.ahead_us += round(5.5 * HOUR * MICROS) - into
    other = await nodes("node-2")
    schedule = await other.started(1, "latest")
    assert schedule.state.missed == 4

    async def missed() -> bool:
        return (await other.schedule("none")).state.missed == 5

    await other.until(missed)
    assert (await other.schedule("none")).state.started == 0
    passed = [one for one in await other.decisions() if one.reason == "passed over: missed"]
    assert sorted(int(one.facts["count"]) for one in passed) == [4, 5]


async def test_skipped_while_a_run_is_open_and_started_when_it_has_closed(node: Node) -> None:
    await node.create(every_s=HOUR, workflow="hang")
    await node.move(HOUR)
    await node.started(1)
    await node.move(HOUR)

    async def skipped() -> bool:
        return (await node.schedule()).state.skipped == 1

    await node.until(skipped)
    assert node.passed == ["overlap"]
    [run] = await node.runs()
    decision = Decision(verb=Verb.SIGNAL, at_us=1)
    await node.engine.signal(run.run_id, "go", None, "m", decision)
    await node.engine.result(run.run_id, 10)
    await node.move(HOUR)
    await node.started(2)


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all"])
async def test_who_waits_starts_when_the_run_closes(nodes: Any, node: Node, overlap: str) -> None:
    await node.create(every_s=HOUR, workflow="hang", overlap=overlap, catch_up="all", catch_up_window_s=86_400)
    await node.move(HOUR)
    await node.started(1)
    await node.move(2 * HOUR)
    wanted = 1 if overlap == "buffer_one" else 2

    async def waiting() -> bool:
        return len((await node.schedule()).state.waiting) == wanted

    await node.until(waiting)
    # Over a restart as well: who takes it over hears of the closing.
    await node.stop()
    other = await nodes("node-2")
    for count in range(1, wanted + 2):
        schedule = await other.started(count)
        [run_id] = schedule.state.running
        await other.engine.signal(run_id, "go", None, "m", Decision(verb=Verb.SIGNAL, at_us=1))
        await other.engine.result(run_id, 10)
    assert (await other.schedule()).state.waiting == ()


@pytest.mark.parametrize(
    ("overlap", "outcome"), [("cancel_other", Outcome.CANCELLED), ("terminate_other", Outcome.TERMINATED)]
)
async def test_a_run_makes_room_for_the_next(node: Node, overlap: Any, outcome: Outcome) -> None:
    await node.create(every_s=HOUR, workflow="hang", overlap=overlap)
    await node.move(HOUR)
    await node.started(1)
    await node.move(HOUR)
    await node.started(2)
    first, second = await node.runs()
    assert first.outcome is outcome
    assert second.outcome is None


async def test_a_pause_and_what_is_done_in_it(node: Node) -> None:
    await node.create(every_s=HOUR)
    view = await pause_schedule(node.desk, OPERATOR, "s", "the site is moved")
    assert (view.status, view.note, view.next_at) == ("paused", "the site is moved", None)
    await node.move(3 * HOUR)
    run_id = await trigger_schedule(node.desk, OPERATOR, "s")
    await node.started(1)
    assert [one.run_id for one in await node.runs()] == [id_bytes(run_id)]
    view = await resume_schedule(node.desk, OPERATOR, "s")
    assert view.status == "active"
    await node.move(HOUR)
    await node.started(2)
    said = [one.reason for one in await node.decisions() if one.verb is Verb.SCHEDULE]
    assert said == ["created", "paused", "triggered", "resumed"]


async def test_a_backfill_starts_what_has_no_run_yet(node: Node) -> None:
    await node.create(every_s=HOUR)
    await node.move(HOUR)
    schedule = await node.started(1)
    first_us = schedule.state.recent[0].tick_us
    after, until = iso(first_us - round(3 * HOUR * MICROS)), iso(first_us)
    for _ in range(2):
        # The second asking has nothing left to start.
        await backfill_schedule(node.desk, OPERATOR, "s", after, until)

        async def done() -> bool:
            state = (await node.schedule()).state
            return not (state.backfills or state.waiting or state.asked)

        await node.until(done)
    keys = [one.key for one in await node.runs()]
    assert len(keys) == len(set(keys)) == 3
    assert await ticks_of(node) == [
        iso(first_us),
        iso(first_us - round(2 * HOUR * MICROS)),
        iso(first_us - round(HOUR * MICROS)),
    ]
    with pytest.raises(Misuse, match="no tick"):
        await backfill_schedule(node.desk, OPERATOR, "s", iso(first_us), iso(first_us + 1))
    with pytest.raises(Misuse, match="still to come"):
        await backfill_schedule(node.desk, OPERATOR, "s", iso(first_us), "2100-01-01T00:00:00Z")


async def test_a_single_time_and_then_it_is_gone(node: Node) -> None:
    at = iso(node.clock.now_us() + round(HOUR * MICROS))
    await node.create("kept", at=[at])
    await node.create("gone", at=[at], delete_when_done=True)
    await node.move(HOUR)
    await node.started(1, "kept")

    async def removed() -> bool:
        return await node.keeper.reader.schedule_named("default", "gone") is None

    await node.until(removed)
    assert len(await node.runs()) == 2
    with pytest.raises(Misuse, match="no time to come"):
        await node.create("past", at=["2020-01-01T00:00:00Z"])


async def test_a_schedule_is_replaced_and_deleted(node: Node) -> None:
    await node.create(every_s=HOUR)
    with pytest.raises(Conflict):
        await node.create(every_s=HOUR)
    await replace_schedule(
        node.desk, OPERATOR, "s", ScheduleSpec(workflow="note", every_s=2 * HOUR, catch_up_window_s=86_400)
    )
    await node.move(2 * HOUR)
    await node.started(1)
    await delete_schedule(node.desk, OPERATOR, "s")
    await node.move(10 * HOUR)
    with pytest.raises(NotFound):
        await delete_schedule(node.desk, OPERATOR, "s")
    await node.create("other", every_s=60)
    await node.move(60)
    await node.started(1, "other")
    assert len(await node.runs()) == 2


async def test_other_calendars_are_other_due_times(nodes: Any, node: Node) -> None:
    today = date.fromisoformat(iso(node.clock.now_us())[:10])
    node.scheduler.reload({"shut": frozenset({today, date(2031, 1, 1)})}, "with a calendar")
    await node.create(every_s=600, exclude=["shut"])
    due = (await node.schedule()).due_us
    assert due is not None
    assert due - node.clock.now_us() < 2 * 86_400 * MICROS
    node.scheduler.reload({"shut": frozenset({date(2031, 1, 1)})}, "with a shorter one")

    async def sooner() -> bool:
        now = (await node.schedule()).due_us
        return now is not None and now - node.clock.now_us() <= 600 * MICROS

    await node.until(sooner)
    # Without the calendar nothing is started: nobody knows the days.
    node.scheduler.reload({}, "without")
    await node.until(lambda: _true(any("shut" in one for one in node.trouble)))
    await node.move(1200)
    await node.create("marker", every_s=60)
    await node.move(60)
    await node.started(1, "marker")
    assert (await node.schedule()).state.started == 0
    node.scheduler.reload({"shut": frozenset()}, "back")
    await node.started(1)


async def test_no_room_is_waited_out(node: Node) -> None:
    await node.create(every_s=HOUR)
    node.engine.drain()
    await node.move(HOUR)
    await node.until(lambda: _true(node.trouble))
    assert await node.runs() == []
    node.engine._openings.draining = False
    await node.started(1)


async def _true(value: Any) -> bool:
    return bool(value)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> SchedulerOptions:
    return SchedulerOptions(again_s=0.02, poll_s=0.2, schedules_limit=20)


async def test_a_namespace_has_so_many(node: Node) -> None:
    for number in range(20):
        await node.create(f"s{number}", every_s=HOUR)
    with pytest.raises(Overloaded, match="20 schedules"):
        await node.create("one more", every_s=HOUR)


async def test_what_is_declared_is_what_there_is(node: Node) -> None:
    await node.create("by-hand", every_s=HOUR)
    await node.create("taken", every_s=HOUR)
    spec = ScheduleSpec(workflow="note", cron=["0 6 * * *"], zone="Europe/Berlin")
    first = await reconcile_schedules(node.desk, {"taken": spec, "new": spec})
    assert (first.created, first.changed, first.deleted) == (["new"], ["taken"], [])
    again = await reconcile_schedules(node.desk, {"taken": spec, "new": spec})
    assert (again.created, again.changed, again.deleted) == ([], [], [])
    with pytest.raises(Conflict, match="declared in the configuration"):
        await delete_schedule(node.desk, OPERATOR, "new")
    await pause_schedule(node.desk, OPERATOR, "new")
    third = await reconcile_schedules(node.desk, {"new": ScheduleSpec(workflow="note", every_s=60)})
    assert (third.created, third.changed, third.deleted) == ([], ["new"], ["taken"])
    assert (await node.schedule("new")).state.paused
    said = [(one.subject, one.reason) for one in await node.decisions() if one.actor == "config"]
    assert said == [
        ("new", "created"),
        ("taken", "changed by configuration"),
        ("new", "changed by configuration"),
        ("taken", "deleted by configuration"),
    ]
