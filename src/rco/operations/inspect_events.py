"""Look at accepted events."""

from __future__ import annotations

from rco.errors import NotFound
from rco.model.event import Event
from rco.model.principal import Principal, Role
from rco.model.wire import EventPage, EventView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.view import event_brief, event_view

__all__ = ["PAGE_MAX", "find_event", "list_events", "show_event"]

PAGE_MAX = 500


async def find_event(desk: Desk, principal: Principal, event_id: str) -> Event:
    """The event. Raises ``NotFound`` when this namespace has none with that id."""
    event = await desk.reader.event(principal.namespace, event_id)
    if event is None:
        raise NotFound(f"no event {event_id!r}.", cure="rco events list shows those there are.")
    return event


async def list_events(
    desk: Desk, principal: Principal, *, type: str | None = None, after_us: int | None = None, limit: int = 50
) -> EventPage:
    """One page, newest first, without data; at most ``PAGE_MAX``. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    limit = max(1, min(limit, PAGE_MAX))
    events = await desk.reader.events(principal.namespace, type, after_us, limit + 1)
    following = str(events[limit - 1].received_us) if len(events) > limit else None
    return EventPage(items=[event_brief(event) for event in events[:limit]], next=following)


async def show_event(desk: Desk, principal: Principal, event_id: str) -> EventView:
    """One event with its data. Needs the operator's role: data may be about people."""
    require(principal, Role.OPERATOR)
    return event_view(await find_event(desk, principal, event_id))
