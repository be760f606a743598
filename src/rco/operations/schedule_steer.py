"""Steer schedules: pause, resume, trigger, backfill."""

from __future__ import annotations

from msgspec.structs import replace

from rco.errors import Conflict, Misuse, Overloaded
from rco.kit.clock import iso, parse_iso
from rco.kit.ids import id_text
from rco.model.principal import Principal, Role
from rco.model.run import shard_of
from rco.model.schedule import (
    BACKFILL_TICKS_MAX,
    BACKFILLS_MAX,
    Backfill,
    Due,
    Overlap,
    Schedule,
)
from rco.model.wire_schedules import ScheduleView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.inspect_schedules import schedule_view
from rco.operations.schedule_change import actor_of, change_schedule, find_schedule, schedule_decision
from rco.scheduler.ticks import Ticks

__all__ = ["ASKED_MAX", "backfill_schedule", "pause_schedule", "resume_schedule", "trigger_schedule"]

ASKED_MAX = 100


async def pause_schedule(desk: Desk, principal: Principal, name: str, note: str = "") -> ScheduleView:
    """Start nothing by the clock until it is resumed; what waits in line is held too. Needs the operator's role. A
    second call changes the note. Raises ``NotFound``."""
    require(principal, Role.OPERATOR)
    after = await change_schedule(
        desk,
        principal.namespace,
        name,
        lambda schedule: replace(schedule, state=replace(schedule.state, paused=True, note=note)),
        lambda schedule: schedule_decision(desk, actor_of(principal), schedule, "paused", note),
    )
    return await schedule_view(desk, after)


async def resume_schedule(desk: Desk, principal: Principal, name: str, note: str = "") -> ScheduleView:
    """Go on by the clock. Ticks of the pause are passed over: backfill them when they are wanted. Needs the operator's
    role. A second call has no effect but on the note. Raises ``NotFound``."""
    require(principal, Role.OPERATOR)

    def edit(schedule: Schedule) -> Schedule:
        state = schedule.state
        decided_us = max(state.decided_us, desk.clock.now_us()) if state.paused else state.decided_us
        return replace(schedule, state=replace(state, paused=False, note=note, decided_us=decided_us))

    after = await change_schedule(
        desk,
        principal.namespace,
        name,
        edit,
        lambda schedule: schedule_decision(desk, actor_of(principal), schedule, "resumed", note),
    )
    return await schedule_view(desk, after)


async def trigger_schedule(desk: Desk, principal: Principal, name: str, overlap: Overlap = "allow") -> str:
    """Start a run of the schedule now, also while it is paused. Returns the run's id. Needs the operator's role.

    When this returns the asking is durable: the run is opened within moments, or passed over if ``overlap`` says so.
    Each call is a run of its own. Raises ``NotFound``, and ``Overloaded`` when too many wait already.
    """
    require(principal, Role.OPERATOR)
    row = await find_schedule(desk, principal.namespace, name)
    run_id = desk.ids.uuid7(shard_of(row.schedule_id))
    due = Due(desk.clock.now_us(), "trigger", run_id, overlap, actor_of(principal))

    def edit(schedule: Schedule) -> Schedule:
        if schedule.schedule_id != row.schedule_id:
            raise Conflict(f"schedule {name!r} was replaced by another one meanwhile.", cure="Trigger it again.")
        if len(schedule.state.asked) >= ASKED_MAX:
            raise Overloaded(f"{ASKED_MAX} triggers of {name!r} wait already.")
        return replace(schedule, state=replace(schedule.state, asked=(*schedule.state.asked, due)))

    await change_schedule(
        desk,
        principal.namespace,
        name,
        edit,
        lambda schedule: schedule_decision(
            desk, actor_of(principal), schedule, "triggered", run=id_text(run_id), overlap=overlap
        ),
    )
    return id_text(run_id)


async def backfill_schedule(
    desk: Desk, principal: Principal, name: str, after: str, until: str, overlap: Overlap = "buffer_all"
) -> ScheduleView:
    """Start the ticks after ``after`` and up to ``until`` (RFC 3339) that have no run yet, by ``overlap``.

    Needs the operator's role. A tick has one run: what was started, by the clock or by an earlier backfill, is not
    started again. Raises ``NotFound``, ``Misuse`` for a span that holds no tick, too many or any to come, and
    ``Overloaded`` when too many backfills wait.
    """
    require(principal, Role.OPERATOR)
    now_us = desk.clock.now_us()
    try:
        after_us, until_us = parse_iso(after), parse_iso(until)
    except ValueError as problem:
        raise Misuse(f"{problem}.") from None
    if until_us > now_us:
        raise Misuse(f"{until} is still to come.", cure="Its ticks are started when their time comes.")

    def edit(schedule: Schedule) -> Schedule:
        ticks = Ticks(schedule.spec, desk.scheduler.calendars)
        count = 0
        for _ in ticks.between(after_us, until_us):
            count += 1
            if count > BACKFILL_TICKS_MAX:
                raise Misuse(
                    f"there are more than {BACKFILL_TICKS_MAX} ticks in that span.", cure="Backfill it in pieces."
                )
        if not count:
            raise Misuse("there is no tick in that span.", cure="`after` is not part of it, `until` is.")
        if len(schedule.state.backfills) >= BACKFILLS_MAX:
            raise Overloaded(f"{BACKFILLS_MAX} backfills of {name!r} wait already.")
        back = Backfill(after_us, until_us, overlap, actor_of(principal))
        return replace(schedule, state=replace(schedule.state, backfills=(*schedule.state.backfills, back)))

    changed = await change_schedule(
        desk,
        principal.namespace,
        name,
        edit,
        lambda schedule: schedule_decision(
            desk, actor_of(principal), schedule, "backfilled", after=iso(after_us), until=iso(until_us), overlap=overlap
        ),
    )
    return await schedule_view(desk, changed)
