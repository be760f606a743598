"""Which objects rows refer to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from rco.store.contract.payloads import PayloadUse
from rco.store.sqlite.bulk import Bulk

__all__ = ["ANY", "FORGET", "KEPT_BYTES", "SPACE", "used", "write"]

SPACE = "SELECT space FROM payload_space"
ANY = "SELECT EXISTS (SELECT 1 FROM payload_use)"
_PUT = Bulk("INSERT OR IGNORE INTO payload_use (name, kind, who, namespace, size_bytes) VALUES ", "(?,?,?,?,?)")
# An id of an event is its text, byte for byte.
_THERE = (
    "CASE u.kind WHEN 0 THEN EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = u.who)"
    " OR EXISTS (SELECT 1 FROM closed_run AS c WHERE c.run_id = u.who)"
    " WHEN 1 THEN EXISTS (SELECT 1 FROM event AS e WHERE e.namespace = u.namespace AND e.id = CAST(u.who AS TEXT))"
    " WHEN 3 THEN EXISTS (SELECT 1 FROM schedule AS s WHERE s.schedule_id = u.who AND s.payload = u.name)"
    " ELSE EXISTS (SELECT 1 FROM dead_letter AS d WHERE d.letter_id = u.who) END"
)
KEPT_BYTES = (
    "SELECT coalesce(sum(size_bytes), 0) FROM (SELECT max(u.size_bytes) AS size_bytes FROM payload_use AS u"
    f" WHERE u.namespace = ?1 AND u.size_bytes > 0 AND {_THERE} GROUP BY u.name)"
)
"""Of a namespace: the payloads that are kept by reference, each once."""
_USED = Bulk("SELECT DISTINCT u.name FROM payload_use AS u WHERE u.name IN (VALUES ", "(?)", f") AND {_THERE}")
FORGET = (
    "DELETE FROM payload_use WHERE name = ? AND NOT EXISTS"
    f" (SELECT 1 FROM payload_use AS u WHERE u.name = payload_use.name AND {_THERE})"
)


def write(cursor: sqlite3.Cursor, uses: Iterable[PayloadUse]) -> None:
    """Write ``uses`` down."""
    flat: list[Any] = []
    for one in uses:
        flat += (one.name, int(one.kind), one.who, one.namespace, one.size_bytes)
    _PUT.run(cursor, flat)


def used(connection: sqlite3.Connection, names: list[bytes]) -> set[bytes]:
    """Those of ``names`` that something refers to which is there."""
    return {row[0] for row in _USED.fetch(connection.cursor(), names)}
