"""Make, replace and delete schedules."""

from __future__ import annotations

from msgspec.structs import replace

from rco.errors import Conflict, Misuse, NotFound
from rco.model.principal import Principal, Role
from rco.model.schedule import Schedule, ScheduleSpec, ScheduleState
from rco.model.wire_schedules import ScheduleView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.inspect_schedules import schedule_view
from rco.operations.schedule_change import (
    actor_of,
    bounded,
    change_schedule,
    find_schedule,
    schedule_decision,
    write_schedule,
)
from rco.operations.schedule_input import kept_input
from rco.scheduler.body import row_of
from rco.scheduler.given import input_of
from rco.scheduler.ticks import Ticks
from rco.store.contract.schedules import ScheduleWrite

__all__ = ["add_schedule", "checked_ticks", "create_schedule", "delete_schedule", "replace_schedule", "respecified"]


async def create_schedule(
    desk: Desk, principal: Principal, name: str, spec: ScheduleSpec, *, paused: bool = False, note: str = ""
) -> ScheduleView:
    """Make a schedule. Needs the operator's role. When this returns it is durable; ticks count from now on.

    Raises ``Conflict`` when the name is taken, ``NotFound`` for an unknown workflow, ``Misuse`` for a specification
    that cannot be used or names no time to come, ``Overloaded`` when the namespace has too many.
    """
    require(principal, Role.OPERATOR)
    actor = actor_of(principal)
    made = await add_schedule(desk, principal.namespace, name, spec, "api", actor, paused=paused, note=note)
    return await schedule_view(desk, made)


async def add_schedule(
    desk: Desk,
    namespace: str,
    name: str,
    spec: ScheduleSpec,
    origin: str,
    actor: str,
    *,
    paused: bool = False,
    note: str = "",
) -> Schedule:
    """The same for anybody, see ``create_schedule``."""
    ticks = checked_ticks(desk, spec)
    await desk.quota.take(namespace)
    spec, kept = await kept_input(desk, namespace, spec)
    now_us = desk.clock.now_us()
    schedule_id = desk.ids.uuid7()
    schedule_id = schedule_id[:15] + bytes((desk.scheduler.place(schedule_id[15]),))
    first = ticks.after(now_us)
    if first is None and origin == "api":
        raise Misuse("the schedule names no time to come.", cure="Look at `rco schedule next`.")
    schedule = Schedule(
        schedule_id=schedule_id,
        name=name,
        namespace=namespace,
        spec=spec,
        state=ScheduleState(decided_us=now_us, paused=paused, note=note),
        revision=1,
        origin=origin,
        created_us=now_us,
        updated_us=now_us,
        due_us=None if paused or first is None else ticks.fire_us(schedule_id, first),
    )
    write = ScheduleWrite(row=bounded(row_of(schedule, desk.scheduler.rules), spec), expect=None)
    decision = schedule_decision(desk, actor, schedule, "created", note, origin=origin)
    if not await write_schedule(desk, write, decision, kept):
        raise Conflict(f"there is a schedule {name!r}.", cure="Use another name, or replace it.")
    return schedule


async def replace_schedule(desk: Desk, principal: Principal, name: str, spec: ScheduleSpec) -> ScheduleView:
    """Give a schedule another specification. Its runs, its line and its pause stay; ticks of the new one count from
    now on. Needs the operator's role. Raises ``NotFound``, ``Misuse``, and ``Conflict`` where a configuration declares
    it."""
    require(principal, Role.OPERATOR)
    checked_ticks(desk, spec)
    await find_schedule(desk, principal.namespace, name)
    stored, kept = await kept_input(desk, principal.namespace, spec)

    def edit(schedule: Schedule) -> Schedule:
        _ours(schedule)
        return respecified(desk, schedule, stored)

    after = await change_schedule(
        desk,
        principal.namespace,
        name,
        edit,
        lambda schedule: schedule_decision(desk, actor_of(principal), schedule, "replaced"),
        kept,
    )
    return await schedule_view(desk, after)


def respecified(desk: Desk, schedule: Schedule, spec: ScheduleSpec) -> Schedule:
    """``schedule`` with another specification from now on."""
    now_us = desk.clock.now_us()
    state = replace(schedule.state, decided_us=max(schedule.state.decided_us, now_us))
    return replace(schedule, spec=spec, state=state, updated_us=now_us)


async def delete_schedule(desk: Desk, principal: Principal, name: str) -> None:
    """Remove a schedule with what waits in its line; its open runs go on. Needs the operator's role. Raises
    ``NotFound``, and ``Conflict`` where a configuration declares it."""
    require(principal, Role.OPERATOR)

    def edit(schedule: Schedule) -> None:
        _ours(schedule)

    await change_schedule(
        desk,
        principal.namespace,
        name,
        edit,
        lambda schedule: schedule_decision(desk, actor_of(principal), schedule, "deleted"),
    )


def checked_ticks(desk: Desk, spec: ScheduleSpec) -> Ticks:
    """The ticks of ``spec``. Raises ``Misuse`` and ``NotFound`` for what would never start."""
    if spec.workflow not in desk.engine.workflows():
        known = ", ".join(desk.engine.workflows()[:20]) or "none"
        raise NotFound(f"no workflow named {spec.workflow!r}.", cure=f"This application has: {known}.")
    input_of(spec, spec.input, 0)
    return Ticks(spec, desk.scheduler.calendars)


def _ours(schedule: Schedule) -> None:
    if schedule.origin == "config":
        raise Conflict(
            f"schedule {schedule.name!r} is declared in the configuration.",
            cure="Change it there. It may be paused, resumed, triggered and backfilled from here.",
        )
