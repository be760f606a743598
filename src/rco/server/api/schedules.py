"""/v1/schedules: create, list, show, replace, delete, pause, resume, trigger, backfill, next times."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from rco.model.schedule import ScheduleSpec
from rco.model.wire_schedules import (
    BackfillAsk,
    CreateSchedule,
    FireTimes,
    PauseAsk,
    SchedulePage,
    ScheduleView,
    TriggerAsk,
    Triggered,
)
from rco.operations.inspect_schedules import (
    NEXT_MAX,
    PAGE_MAX,
    list_schedules,
    next_times,
    preview_times,
    show_schedule,
)
from rco.operations.schedule_make import create_schedule, delete_schedule, replace_schedule
from rco.operations.schedule_steer import backfill_schedule, pause_schedule, resume_schedule, trigger_schedule
from rco.server.api.asked import ERRORS, Ask, asked, segment

__all__ = ["ROUTES"]

Count = Annotated[int, QueryParameter(ge=1, le=NEXT_MAX)]


@post("/v1/schedules", tags=["schedules"], operation_id="createSchedule", responses=ERRORS)
async def create(request: Ask, data: JSONBody[CreateSchedule]) -> ScheduleView:
    """Make a schedule. 409: the name is taken."""
    desk, principal, _, _ = asked(request)
    return await create_schedule(desk, principal, data.name, data.spec, paused=data.paused, note=data.note)


@get("/v1/schedules", tags=["schedules"], operation_id="listSchedules", responses=ERRORS)
async def schedules(
    request: Ask,
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> SchedulePage:
    """Schedules by name; ``after`` is the ``next`` of the page before."""
    desk, principal, _, _ = asked(request)
    return await list_schedules(desk, principal, after, limit)


@post("/v1/schedules/preview", tags=["schedules"], operation_id="previewSchedule", status_code=200, responses=ERRORS)
async def preview(
    request: Ask, data: JSONBody[ScheduleSpec], count: Count = 5, after: FromQuery[str | None] = None
) -> FireTimes:
    """The next ticks that a schedule would have, without making it."""
    desk, principal, _, _ = asked(request)
    return await preview_times(desk, principal, data, count, after)


@get("/v1/schedules/{name:str}", tags=["schedules"], operation_id="showSchedule", responses=ERRORS)
async def schedule(request: Ask, name: FromPath[str]) -> ScheduleView:
    """One schedule, whole."""
    desk, principal, _, _ = asked(request)
    return await show_schedule(desk, principal, segment(name))


@put("/v1/schedules/{name:str}", tags=["schedules"], operation_id="replaceSchedule", responses=ERRORS)
async def replace(request: Ask, name: FromPath[str], data: JSONBody[ScheduleSpec]) -> ScheduleView:
    """Give it another specification; runs, line and pause stay. 409: a configuration declares it."""
    desk, principal, _, _ = asked(request)
    return await replace_schedule(desk, principal, segment(name), data)


@delete("/v1/schedules/{name:str}", tags=["schedules"], operation_id="deleteSchedule", responses=ERRORS)
async def remove(request: Ask, name: FromPath[str]) -> None:
    """Remove it with what waits in its line; its open runs go on."""
    desk, principal, _, _ = asked(request)
    await delete_schedule(desk, principal, segment(name))


@get("/v1/schedules/{name:str}/next", tags=["schedules"], operation_id="nextTimes", responses=ERRORS)
async def upcoming(
    request: Ask, name: FromPath[str], count: Count = 5, after: FromQuery[str | None] = None
) -> FireTimes:
    """Its next ticks, after now or ``after``."""
    desk, principal, _, _ = asked(request)
    return await next_times(desk, principal, segment(name), count, after)


@post(
    "/v1/schedules/{name:str}/pause",
    tags=["schedules"],
    operation_id="pauseSchedule",
    status_code=200,
    responses=ERRORS,
)
async def pause(request: Ask, name: FromPath[str], data: JSONBody[PauseAsk]) -> ScheduleView:
    """Start nothing by the clock until it is resumed."""
    desk, principal, _, _ = asked(request)
    return await pause_schedule(desk, principal, segment(name), data.note)


@post(
    "/v1/schedules/{name:str}/resume",
    tags=["schedules"],
    operation_id="resumeSchedule",
    status_code=200,
    responses=ERRORS,
)
async def resume(request: Ask, name: FromPath[str], data: JSONBody[PauseAsk]) -> ScheduleView:
    """Go on by the clock; ticks of the pause are passed over."""
    desk, principal, _, _ = asked(request)
    return await resume_schedule(desk, principal, segment(name), data.note)


@post(
    "/v1/schedules/{name:str}/trigger",
    tags=["schedules"],
    operation_id="triggerSchedule",
    status_code=202,
    responses=ERRORS,
)
async def trigger(request: Ask, name: FromPath[str], data: JSONBody[TriggerAsk]) -> Triggered:
    """Start a run now, also while it is paused."""
    desk, principal, _, _ = asked(request)
    return Triggered(run_id=await trigger_schedule(desk, principal, segment(name), data.overlap))


@post(
    "/v1/schedules/{name:str}/backfill",
    tags=["schedules"],
    operation_id="backfillSchedule",
    status_code=202,
    responses=ERRORS,
)
async def backfill(request: Ask, name: FromPath[str], data: JSONBody[BackfillAsk]) -> ScheduleView:
    """Start the ticks of a span of the past that have no run yet."""
    desk, principal, _, _ = asked(request)
    return await backfill_schedule(desk, principal, segment(name), data.after, data.until, data.overlap)


ROUTES = [create, schedules, preview, schedule, replace, remove, upcoming, pause, resume, trigger, backfill]
