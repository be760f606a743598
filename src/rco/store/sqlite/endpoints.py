"""The table of endpoints: written by the one writer."""

from __future__ import annotations

import sqlite3

from rco.model.endpoint import Endpoint
from rco.store import rows
from rco.store.contract.endpoints import EndpointPage

__all__ = ["WRITE", "find", "page"]

# There is one writer, so the number that is read here is the next.
WRITE = (
    "INSERT INTO endpoint (id, version, seq, body)"
    " VALUES (?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM endpoint), ?)"
    " ON CONFLICT (id) DO UPDATE SET version = excluded.version, seq = excluded.seq, body = excluded.body"
)


def find(connection: sqlite3.Connection, endpoint_id: str) -> Endpoint | None:
    row = connection.execute("SELECT body FROM endpoint WHERE id = ?", (endpoint_id,)).fetchone()
    return None if row is None else rows.endpoint(row[0])


def page(connection: sqlite3.Connection, after: int, limit: int) -> EndpointPage:
    ask = "SELECT seq, body FROM endpoint WHERE seq > ? ORDER BY seq LIMIT ?"
    found = connection.execute(ask, (after, limit)).fetchall()
    return EndpointPage(found[-1][0] if found else after, [rows.endpoint(row[1]) for row in found])
