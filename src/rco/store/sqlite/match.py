"""Events meet the runs that wait for them: new events the waiters, new waiters the events before them."""

from __future__ import annotations

import sqlite3

from rco.model.event import Event
from rco.model.message import Message
from rco.store.contract.changes import Waiter
from rco.store.event_message import LOOK_BACK_LIMIT, event_body
from rco.store.sqlite.bulk import Bulk

__all__ = ["messages_for_events", "messages_for_waiters"]

# CROSS JOIN keeps the order: for each event, a search of the waiters by index.
_WAITERS = Bulk(
    "SELECT e.column1, w.run_id, w.key FROM (VALUES ",
    "(?,?,?,?)",
    ") AS e CROSS JOIN waiter AS w ON w.namespace = e.column2 AND w.type = e.column3"
    " AND w.subject_match IN ('*', '=' || e.column4)",
)
_EVENTS = Bulk(
    "SELECT w.column1, e.id, e.source, e.type, e.subject, e.time_us, e.data, e.received_us, e.seq FROM (VALUES ",
    "(?,?,?,?,?)",
    ") AS w CROSS JOIN event AS e ON e.seq IN (SELECT x.seq FROM event AS x WHERE x.namespace = w.column2"
    " AND x.type = w.column3 AND x.subject = w.column4 AND x.received_us >= w.column5"
    f" ORDER BY x.received_us LIMIT {LOOK_BACK_LIMIT})",
)


def messages_for_events(cursor: sqlite3.Cursor, events: list[Event], at_us: int) -> list[Message]:
    """A message for every waiter that one of ``events`` matches, in the order of the events."""
    asked = [part for at, event in enumerate(events) for part in (at, event.namespace, event.type, event.subject)]
    found = sorted(_WAITERS.fetch(cursor, asked))
    bodies: dict[int, bytes] = {}
    messages: list[Message] = []
    for at, run_id, key in found:
        event = events[at]
        body = bodies.get(at)
        if body is None:
            body = bodies[at] = event_body(event.id, event.source, event.type, event.subject, event.time_us, event.data)
        messages.append(Message(run_id, f"event:{event.source}:{event.id}", "event", key, body, at_us))
    return messages


def messages_for_waiters(cursor: sqlite3.Cursor, waiters: list[Waiter], at_us: int) -> list[Message]:
    """A message for every earlier event that one of the new ``waiters`` wants.

    Only waiters with a subject look back: without one, every event of the type since then would be a candidate.
    """
    asked = [
        part
        for at, waiter in enumerate(waiters)
        if waiter.subject is not None
        for part in (at, waiter.namespace, waiter.type, waiter.subject, waiter.since_us)
    ]
    if not asked:
        return []
    found = sorted(_EVENTS.fetch(cursor, asked), key=lambda row: (row[0], row[7], row[8]))
    return [
        Message(
            waiters[at].run_id,
            f"event:{source}:{id}",
            "event",
            waiters[at].key,
            event_body(id, source, type, subject, time_us, data),
            at_us,
        )
        for at, id, source, type, subject, time_us, data, _, _ in found
    ]
