"""Look at accepted events."""

from __future__ import annotations

from rco.errors import NotFound, Reason, Refused
from rco.model.event import Event
from rco.model.principal import Principal, Role
from rco.model.wire_events import EventPage, EventView
from rco.operations.access import require
from rco.operations.desk import Desk
from rco.operations.view import event_brief, event_view
from rco.store.contract.reader import EventMark

__all__ = ["PAGE_MAX", "find_event", "list_events", "page_of_events", "show_event"]

PAGE_MAX = 500


async def find_event(desk: Desk, principal: Principal, event_id: str) -> Event:
    """The event. Raises ``NotFound`` when this namespace has none with that id."""
    event = await desk.reader.event(principal.namespace, event_id)
    if event is None:
        raise NotFound(f"no event {event_id!r}.", cure="rco events list shows those there are.")
    return event


async def list_events(
    desk: Desk, principal: Principal, *, type: str | None = None, after: str | None = None, limit: int = 50
) -> EventPage:
    """One page, newest first, without data; at most ``PAGE_MAX``. ``after`` is the ``next`` of the page before.

    Needs the viewer's role. Raises ``Refused`` for an ``after`` that never was a ``next``."""
    found, more = await page_of_events(desk, principal, type=type, after=after, limit=limit)
    return EventPage(items=[event_brief(event) for _, event in found], next=found[-1][0] if more else None)


async def page_of_events(
    desk: Desk, principal: Principal, *, type: str | None = None, after: str | None = None, limit: int = 50
) -> tuple[list[tuple[str, Event]], bool]:
    """The same with the data, each event with what ``after`` would be to go on behind it, and whether there are more.
    Whoever shows data asks for the operator's role first."""
    require(principal, Role.VIEWER)
    limit = max(1, min(limit, PAGE_MAX))
    found = await desk.reader.events(principal.namespace, type, _mark(after), limit + 1)
    return [("{}-{}".format(*mark), event) for mark, event in found[:limit]], len(found) > limit


def _mark(cursor: str | None) -> EventMark | None:
    if cursor is None:
        return None
    at, _, place = cursor.partition("-")
    if not all(part.isascii() and part.isdecimal() and int(part) < 1 << 63 for part in (at, place)):
        raise Refused(Reason.MALFORMED, "bad_cursor", "after: not the next of a page.")
    return int(at), int(place)


async def show_event(desk: Desk, principal: Principal, event_id: str) -> EventView:
    """One event with its data. Needs the operator's role: data may be about people."""
    require(principal, Role.OPERATOR)
    return event_view(await find_event(desk, principal, event_id))
