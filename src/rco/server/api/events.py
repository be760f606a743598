"""/v1/events: list, show, replay."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, QueryParameter

from rco.model.wire_events import EventPage, EventView, Replayed
from rco.operations.inspect_events import PAGE_MAX, list_events, show_event
from rco.operations.redeliver import redeliver_event
from rco.server.api.asked import ERRORS, Ask, asked, segment

__all__ = ["ROUTES"]


@get("/v1/events", tags=["events"], operation_id="listEvents", responses=ERRORS)
async def events(
    request: Ask,
    type: Annotated[str | None, QueryParameter(max_length=200)] = None,
    after: Annotated[str | None, QueryParameter(max_length=40)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
) -> EventPage:
    """Accepted events, newest first, without their data; ``after`` is the ``next`` of the page before."""
    desk, principal, _, _ = asked(request)
    return await list_events(desk, principal, type=type, after=after, limit=limit)


@get("/v1/events/{event_id:str}", tags=["events"], operation_id="showEvent", responses=ERRORS)
async def event(request: Ask, event_id: FromPath[str]) -> EventView:
    """One event with its data. Needs the operator's role."""
    desk, principal, _, _ = asked(request)
    return await show_event(desk, principal, segment(event_id))


@post(
    "/v1/events/{event_id:str}/replay", tags=["events"], operation_id="replayEvent", status_code=202, responses=ERRORS
)
async def replay(request: Ask, event_id: FromPath[str]) -> Replayed:
    """Give the event to its subscriptions again: new runs, except where a subscription has a key of its own."""
    desk, principal, _, _ = asked(request)
    return Replayed(opened=await redeliver_event(desk, principal, segment(event_id)))


ROUTES = [events, event, replay]
