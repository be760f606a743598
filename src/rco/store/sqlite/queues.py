"""Reading and writing items of queues."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from rco.model.queue import Item
from rco.model.run import RunRow
from rco.store import rows
from rco.store.contract.queues import Counted, ItemChange, QueueState
from rco.store.queue_changes import item_of, net
from rco.store.sqlite.bulk import Bulk

__all__ = ["counts", "heads", "item", "keys", "put", "running", "states", "write"]

_PUT = Bulk(f"INSERT INTO queue_item ({rows.ITEM_COLUMNS}) VALUES ", "(?,?,?,?,?,?,?,?)")
_GRANT = Bulk(
    "UPDATE queue_item SET state = 1, granted_us = m.column2 FROM (VALUES ",
    "(?,?)",
    ") AS m WHERE queue_item.run_id = m.column1",
)
_HOLD = Bulk("UPDATE queue_item SET state = 2 WHERE state = 0 AND run_id IN (VALUES ", "(?)", ")")
_FREE = Bulk("UPDATE queue_item SET state = 0 WHERE state = 2 AND run_id IN (VALUES ", "(?)", ")")
_RETURN = Bulk(
    "UPDATE queue_item SET state = m.column2, granted_us = NULL FROM (VALUES ",
    "(?,?)",
    ") AS m WHERE queue_item.run_id = m.column1 AND queue_item.state = 1",
)
_GONE = Bulk("DELETE FROM queue_item WHERE run_id IN (VALUES ", "(?)", ")")
_STATE = "INSERT OR REPLACE INTO queue_state (queue, paused, at_us, actor, reason) VALUES (?, ?, ?, ?, ?)"
_ITEMS = f"SELECT {rows.ITEM_COLUMNS} FROM queue_item"
# The planner has to be told the index: two others begin with the queue, and only this one gives keys in order.
_NEXT = (
    "SELECT priority, fair_key FROM queue_item INDEXED BY queue_item_waiting WHERE queue = ? AND state = 0"
    " AND (priority, fair_key) > (?, ?) ORDER BY priority, fair_key LIMIT 1"
)
_HEAD = (
    f"{_ITEMS} INDEXED BY queue_item_waiting WHERE queue = ? AND priority = ? AND fair_key = ? AND state = 0"
    " ORDER BY arrival, run_id LIMIT ?"
)
_COUNTS = (
    "SELECT queue, sum(state = 0), sum(state = 1), sum(state = 2), min(CASE WHEN state = 0 THEN since_us END)"
    " FROM queue_item GROUP BY queue ORDER BY queue"
)


def put(cursor: sqlite3.Cursor, opened: Iterable[RunRow], n: int) -> None:
    """Put in the items of runs that are opened in a queue, in commit ``n``. There is one writer, so commits and places
    in them are the order of arrival."""
    flat = [
        value
        for at, row in enumerate(opened)
        if row.place is not None
        for value in rows.item_values(item_of(row, (n << 20) + at if row.place.ordered else 0))
    ]
    if flat:
        _PUT.run(cursor, flat)


def write(cursor: sqlite3.Cursor, changes: list[ItemChange | QueueState]) -> None:
    """Write what ``changes`` come to."""
    done = net(changes)
    if done.returned:
        _RETURN.run(cursor, [part for pair in done.returned.items() for part in pair])
    if done.held:
        _HOLD.run(cursor, done.held)
    if done.freed:
        _FREE.run(cursor, done.freed)
    if done.granted:
        _GRANT.run(cursor, [part for pair in done.granted.items() for part in pair])
    if done.gone:
        _GONE.run(cursor, done.gone)
    for one in done.states:
        cursor.execute(_STATE, (one.queue, one.paused, one.at_us, one.actor, one.reason))


def keys(
    connection: sqlite3.Connection, queue: str, after: tuple[int, str] | None, limit: int
) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    last = after or (-1, "")
    while len(found) < limit:
        row = connection.execute(_NEXT, (queue, *last)).fetchone()
        if row is None:
            break
        last = (row[0], row[1])
        found.append(last)
    return found


def heads(connection: sqlite3.Connection, queue: str, keys: list[tuple[int, str]], limit: int) -> list[Item]:
    return [
        rows.item(row)
        for level, key in keys
        for row in connection.execute(_HEAD, (queue, level, key, limit)).fetchall()
    ]


def running(connection: sqlite3.Connection, queue: str) -> list[Item]:
    return [rows.item(row) for row in connection.execute(f"{_ITEMS} WHERE queue = ? AND state = 1", (queue,))]


def item(connection: sqlite3.Connection, run_id: bytes) -> Item | None:
    found = connection.execute(f"{_ITEMS} WHERE run_id = ?", (run_id,)).fetchone()
    return None if found is None else rows.item(found)


def counts(connection: sqlite3.Connection) -> list[Counted]:
    return [Counted(*row) for row in connection.execute(_COUNTS)]


def states(connection: sqlite3.Connection) -> list[QueueState]:
    found = connection.execute("SELECT queue, paused, at_us, actor, reason FROM queue_state ORDER BY queue")
    return [QueueState(row[0], bool(row[1]), *row[2:]) for row in found]
