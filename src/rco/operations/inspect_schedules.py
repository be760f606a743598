"""Look at schedules. Reading leaves no record; only decisions do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import asdict

from rco.errors import Misuse
from rco.kit.clock import MICROS, iso, parse_iso
from rco.kit.ids import id_text
from rco.kit.zone import ZONE_RULES, load_zone
from rco.model.principal import Principal, Role
from rco.model.schedule import Schedule, ScheduleSpec
from rco.model.wire_schedules import (
    FireTime,
    FireTimes,
    RecentRun,
    ScheduleBrief,
    SchedulePage,
    ScheduleStatus,
    ScheduleView,
)
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.schedule_change import find_schedule
from rco.operations.schedule_input import shown_spec
from rco.scheduler.body import schedule_of
from rco.scheduler.ticks import Ticks

__all__ = [
    "NEXT_MAX",
    "PAGE_MAX",
    "list_schedules",
    "next_times",
    "preview_times",
    "schedule_view",
    "show_schedule",
]

PAGE_MAX = 500
NEXT_MAX = 100


async def list_schedules(desk: Desk, principal: Principal, after: str = "", limit: int = 50) -> SchedulePage:
    """One page of the principal's namespace by name, at most ``PAGE_MAX``. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    limit = max(1, min(limit, PAGE_MAX))
    rows = await desk.reader.schedules(principal.namespace, after, limit + 1)
    found = [schedule_of(row) for row in rows[:limit]]
    return SchedulePage(
        items=[_brief(desk, schedule)[0] for schedule in found], next=found[-1].name if len(rows) > limit else None
    )


async def show_schedule(desk: Desk, principal: Principal, name: str) -> ScheduleView:
    """One schedule, whole. Needs the viewer's role. Raises ``NotFound``."""
    require(principal, Role.VIEWER)
    return await schedule_view(desk, schedule_of(await find_schedule(desk, principal.namespace, name)))


async def next_times(
    desk: Desk, principal: Principal, name: str, count: int = 5, after: str | None = None
) -> FireTimes:
    """The next ticks of a schedule, after now or ``after``. Needs the viewer's role. Raises ``NotFound``."""
    require(principal, Role.VIEWER)
    schedule = schedule_of(await find_schedule(desk, principal.namespace, name))
    after_us = schedule.state.decided_us if after is None else _instant(after)
    return _times(desk, schedule.spec, schedule.schedule_id, count, after_us)


async def preview_times(
    desk: Desk, principal: Principal, spec: ScheduleSpec, count: int = 5, after: str | None = None
) -> FireTimes:
    """The next ticks that a schedule with this specification would have; nothing is written. Its jitter is not known
    before it is made. Needs the viewer's role. Raises ``Misuse``."""
    require(principal, Role.VIEWER)
    after_us = desk.clock.now_us() if after is None else _instant(after)
    return _times(desk, spec, None, count, after_us)


def _instant(text: str) -> int:
    try:
        return parse_iso(text)
    except ValueError as problem:
        raise Misuse(f"{problem}.") from None


def _times(desk: Desk, spec: ScheduleSpec, schedule_id: bytes | None, count: int, after_us: int) -> FireTimes:
    ticks = Ticks(spec, desk.scheduler.calendars)
    zone = load_zone(spec.zone)
    items: list[FireTime] = []
    tick = ticks.after(after_us)
    while tick is not None and len(items) < max(1, min(count, NEXT_MAX)):
        local = datetime.fromtimestamp(tick // MICROS, UTC).astimezone(zone)
        fire_us = tick if schedule_id is None else ticks.fire_us(schedule_id, tick)
        items.append(FireTime(tick=iso(tick), local=local.isoformat(), start=iso(fire_us)))
        tick = ticks.after(tick)
    return FireTimes(items=items, zone_rules=ZONE_RULES)


async def schedule_view(desk: Desk, schedule: Schedule) -> ScheduleView:
    """A schedule as the API shows it. Where its input is kept elsewhere and cannot be read, it says so in its place."""
    state = schedule.state
    brief, problem = _brief(desk, schedule)
    backfills: list[dict[str, Any]] = [
        {"after": iso(one.after_us), "until": iso(one.until_us), "overlap": one.overlap} for one in state.backfills
    ]
    return ScheduleView(
        **asdict(brief),
        spec=await shown_spec(desk, schedule.spec),
        created_at=iso(schedule.created_us),
        updated_at=iso(schedule.updated_us),
        revision=schedule.revision,
        running=[id_text(run_id) for run_id in state.running],
        waiting=[iso(due.tick_us) for due in state.waiting],
        backfills=backfills,
        recent=[
            RecentRun(tick=iso(one.tick_us), started_at=iso(one.started_us), run_id=id_text(one.run_id), kind=one.kind)
            for one in state.recent
        ],
        problem=problem,
    )


def _brief(desk: Desk, schedule: Schedule) -> tuple[ScheduleBrief, str]:
    spec, state = schedule.spec, schedule.state
    next_us, problem = None, ""
    try:
        ticks = Ticks(spec, desk.scheduler.calendars)
        tick = ticks.after(state.decided_us)
        next_us = None if tick is None else ticks.fire_us(schedule.schedule_id, tick)
    except Misuse as misuse:
        problem = str(misuse)
    if not problem and spec.workflow not in desk.engine.workflows():
        problem = f"the node that answers has no workflow {spec.workflow!r}"
    status: ScheduleStatus = "active" if next_us is not None or problem else "done"
    brief = ScheduleBrief(
        id=id_text(schedule.schedule_id),
        name=schedule.name,
        workflow=spec.workflow,
        when=_when(spec),
        zone=spec.zone,
        status="paused" if state.paused else status,
        origin=schedule.origin,
        next_at=None if next_us is None or state.paused else iso(next_us),
        started=state.started,
        skipped=state.skipped,
        missed=state.missed,
        note=state.note,
    )
    return brief, problem


def _when(spec: ScheduleSpec) -> str:
    parts = list(spec.cron)
    if spec.every_s:
        parts.append(f"every {spec.every_s:g}s")
    if spec.at:
        parts.append(spec.at[0] if len(spec.at) == 1 else f"{len(spec.at)} single times")
    return "; ".join(parts)
