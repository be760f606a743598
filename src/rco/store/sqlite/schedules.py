"""Reading and writing schedules."""

from __future__ import annotations

import sqlite3
from typing import Any

from rco.store import rows
from rco.store.contract.schedules import ScheduleRow, ScheduleWrite
from rco.store.sqlite.bulk import Bulk

__all__ = ["by_id", "by_name", "count", "due", "look_up", "page", "under_others", "write"]

_LOOK = "SELECT schedule_id, namespace, name, revision FROM "
_BY_ID = Bulk(f"{_LOOK}schedule WHERE schedule_id IN (VALUES ", "(?)", ")")
_BY_NAME = Bulk(
    "SELECT s.schedule_id, s.namespace, s.name, s.revision FROM (VALUES ",
    "(?,?)",
    ") AS a CROSS JOIN schedule AS s ON s.namespace = a.column1 AND s.name = a.column2",
)
_GONE = Bulk("DELETE FROM schedule WHERE schedule_id IN (VALUES ", "(?)", ")")
_PUT = Bulk(f"INSERT OR REPLACE INTO schedule ({rows.SCHEDULE_COLUMNS}) VALUES ", "(?,?,?,?,?,?,?,?,?)")
_ROWS = f"SELECT {rows.SCHEDULE_COLUMNS} FROM schedule"


def look_up(cursor: sqlite3.Cursor, writes: list[ScheduleWrite]) -> dict[bytes, tuple[str, str, int]]:
    """What stands under the identities of ``writes`` and under the names that they put in."""
    found = _BY_ID.fetch(cursor, [one.row.schedule_id for one in writes])
    names = [text for one in writes if one.expect is None for text in (one.row.namespace, one.row.name)]
    if names:
        found += _BY_NAME.fetch(cursor, names)
    return {row[0]: (row[1], row[2], row[3]) for row in found}


def write(cursor: sqlite3.Cursor, writes: list[ScheduleWrite]) -> None:
    """Write what was judged to fit. Removing comes first, so that a name can be used again."""
    gone = [one.row.schedule_id for one in writes if one.gone]
    if gone:
        _GONE.run(cursor, gone)
    put = [value for one in writes if not one.gone for value in rows.schedule_values(one.row)]
    if put:
        _PUT.run(cursor, put)


def by_id(connection: sqlite3.Connection, schedule_id: bytes) -> ScheduleRow | None:
    return _one(connection, f"{_ROWS} WHERE schedule_id = ?", schedule_id)


def by_name(connection: sqlite3.Connection, namespace: str, name: str) -> ScheduleRow | None:
    return _one(connection, f"{_ROWS} WHERE namespace = ? AND name = ?", namespace, name)


def _one(connection: sqlite3.Connection, sql: str, *values: Any) -> ScheduleRow | None:
    found = connection.execute(sql, values).fetchone()
    return None if found is None else rows.schedule(found)


def page(
    connection: sqlite3.Connection, namespace: str, after: str, limit: int, origin: str | None
) -> list[ScheduleRow]:
    more, values = ("", [namespace, after]) if origin is None else (" AND origin = ?", [namespace, after, origin])
    found = connection.execute(
        f"{_ROWS} WHERE namespace = ? AND name > ?{more} ORDER BY name LIMIT ?", (*values, limit)
    )
    return [rows.schedule(row) for row in found]


def count(connection: sqlite3.Connection, namespace: str) -> int:
    found = connection.execute("SELECT count(*) FROM schedule WHERE namespace = ?", (namespace,)).fetchone()
    return int(found[0])


def due(connection: sqlite3.Connection, after: tuple[int, bytes], before_us: int, limit: int) -> list[ScheduleRow]:
    found = connection.execute(
        f"{_ROWS} WHERE (due_us, schedule_id) > (?, ?) AND due_us < ? ORDER BY due_us, schedule_id LIMIT ?",
        (*after, before_us, limit),
    )
    return [rows.schedule(row) for row in found]


def under_others(connection: sqlite3.Connection, rules: str, after: bytes, limit: int) -> list[ScheduleRow]:
    found = connection.execute(
        f"{_ROWS} WHERE schedule_id > ? AND rules <> ? ORDER BY schedule_id LIMIT ?", (after, rules, limit)
    )
    return [rows.schedule(row) for row in found]
