"""Namespaces: what the door asks, counted in the transaction that admits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from rco.model.namespace import NamespaceRow, Usage
from rco.store import rows
from rco.store.contract.namespaces import RECOUNT_EVERY_US
from rco.store.quota import Space
from rco.store.sqlite.payloads import KEPT_BYTES

__all__ = ["CHANGE", "PUT_IN", "RECOUNT", "change_values", "listed", "look_up", "one", "put_in_values", "save", "usage"]

_ROWS = f"SELECT {rows.NAMESPACE_COLUMNS} FROM namespace"
_USED = "open_runs, stored_bytes, counted_us, second, starts_second, day, starts_day, events_day"
_OPEN = "SELECT count(*) FROM run WHERE namespace = ? AND workflow NOT GLOB 'rco.*'"
_SCHEDULES = "SELECT count(*) FROM schedule WHERE namespace = ?"
_ROOTS = "SELECT run_id FROM {} WHERE namespace = ?1 AND parent IS NULL AND workflow NOT GLOB 'rco.*'"
_BYTES = (
    "SELECT (SELECT coalesce(sum(length(data)), 0) FROM event WHERE namespace = ?1)"
    " + (SELECT coalesce(sum(length(j.data)), 0) FROM"
    f" ({_ROOTS.format('run')} UNION ALL {_ROOTS.format('closed_run')}) AS r"
    " CROSS JOIN journal AS j ON j.run_id = r.run_id AND j.first_seq = 0)"
    f" + ({KEPT_BYTES})"
)
PUT_IN = (
    "INSERT INTO namespace (name, created_us, state, quotas, revision, origin) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (name) DO NOTHING"
)
CHANGE = (
    "UPDATE namespace SET state = ?, quotas = ?, revision = ?, origin = ?, open_runs = NULL, stored_bytes = NULL"
    " WHERE name = ? AND revision = ?"
)
RECOUNT = "UPDATE namespace SET open_runs = NULL, stored_bytes = NULL WHERE name = ?"


def look_up(cursor: sqlite3.Cursor, names: Iterable[str], now_us: int) -> dict[str, Space]:
    """What the namespaces may have and what they have. Open runs are counted again where the bound is met and the last
    count is old enough, payloads where they are not known."""
    found: dict[str, Space] = {}
    for name in names:
        row = cursor.execute(
            f"SELECT {rows.NAMESPACE_COLUMNS}, {_USED} FROM namespace WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            continue
        namespace = rows.namespace(row[:6])
        open_runs, stored, counted_us, *counts = row[6:]
        limit = namespace.quotas.open_runs
        full = limit is not None and open_runs is not None and open_runs >= limit
        if open_runs is None or (full and now_us - counted_us >= RECOUNT_EVERY_US):
            open_runs, counted_us = cursor.execute(_OPEN, (name,)).fetchone()[0], now_us
            cursor.execute("UPDATE namespace SET counted_us = ? WHERE name = ?", (counted_us, name))
        if stored is None and namespace.quotas.stored_bytes is not None:
            stored = cursor.execute(_BYTES, (name,)).fetchone()[0]
        schedules = 0
        if namespace.quotas.schedules is not None:
            schedules = cursor.execute(_SCHEDULES, (name,)).fetchone()[0]
        second, starts_second, day, starts_day, events_day = counts
        found[name] = Space(
            namespace, open_runs, second, starts_second, day, starts_day, events_day, stored or 0, schedules
        )
    return found


def save(cursor: sqlite3.Cursor, spaces: dict[str, Space]) -> None:
    """Write what they have now."""
    for name, space in spaces.items():
        stored = space.size_bytes if space.row.quotas.stored_bytes is not None else None
        cursor.execute(
            "UPDATE namespace SET open_runs = ?, stored_bytes = ?, second = ?, starts_second = ?, day = ?,"
            " starts_day = ?, events_day = ? WHERE name = ?",
            (
                space.open,
                stored,
                space.second,
                space.starts_second,
                space.day,
                space.starts_day,
                space.events_day,
                name,
            ),
        )


def listed(connection: sqlite3.Connection) -> list[NamespaceRow]:
    return [rows.namespace(row) for row in connection.execute(f"{_ROWS} ORDER BY name")]


def one(connection: sqlite3.Connection, name: str) -> NamespaceRow | None:
    found = connection.execute(f"{_ROWS} WHERE name = ?", (name,)).fetchone()
    return None if found is None else rows.namespace(found)


def usage(connection: sqlite3.Connection, name: str, now_us: int) -> Usage:
    found = connection.execute(f"SELECT {_USED} FROM namespace WHERE name = ?", (name,)).fetchone()
    row = one(connection, name)
    if found is None or row is None:
        return Usage()
    _, stored, _, second, starts_second, day, starts_day, events_day = found
    if stored is None and row.quotas.stored_bytes is not None:
        stored = connection.execute(_BYTES, (name,)).fetchone()[0]
    return rows.usage_at(
        now_us,
        open_runs=connection.execute(_OPEN, (name,)).fetchone()[0],
        stored_bytes=stored,
        schedules=connection.execute(_SCHEDULES, (name,)).fetchone()[0],
        second=second,
        starts_second=starts_second,
        day=day,
        starts_day=starts_day,
        events_day=events_day,
    )


def put_in_values(row: NamespaceRow) -> tuple[Any, ...]:
    return rows.namespace_values(row)


def change_values(row: NamespaceRow, expect: int) -> tuple[Any, ...]:
    name, _, *changed = rows.namespace_values(row)
    return (*changed, name, expect)
