"""Small objects that came with a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from rco.model.decision import Decision
from rco.model.staged import StagedObject
from rco.store.sqlite.bulk import Bulk

__all__ = ["before", "find", "removing", "write"]

_PUT = Bulk(
    "INSERT INTO staged_object (key, put_us, data) VALUES ",
    "(?,?,?)",
    " ON CONFLICT (key) DO UPDATE SET put_us = excluded.put_us, data = excluded.data",
)
_MOVED = Bulk("DELETE FROM staged_object WHERE ", "(key = ? AND put_us = ?)", between=" OR ", largest=64)


def write(cursor: sqlite3.Cursor, staged: Iterable[StagedObject]) -> None:
    """Write ``staged`` down; of one key the last stays."""
    flat: list[Any] = []
    for one in staged:
        flat += (one.key, one.put_us, bytearray(one.data))
    _PUT.run(cursor, flat)


def find(connection: sqlite3.Connection, key: str) -> StagedObject | None:
    row = connection.execute("SELECT key, put_us, data FROM staged_object WHERE key = ?", (key,)).fetchone()
    return None if row is None else StagedObject(*row)


def before(connection: sqlite3.Connection, before_us: int, limit: int) -> list[StagedObject]:
    found = connection.execute(
        "SELECT key, put_us, data FROM staged_object WHERE put_us < ? ORDER BY put_us LIMIT ?", (before_us, limit)
    )
    return [StagedObject(*row) for row in found]


def removing(moved: list[StagedObject]) -> Callable[[Any, list[Decision]], None]:
    """The work of a transaction that removes ``moved``."""
    flat = [part for one in moved for part in (one.key, one.put_us)]

    def remove(cursor: Any, _: list[Decision]) -> None:
        _MOVED.run(cursor, flat)

    return remove
