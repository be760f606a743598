"""Reading the audit chain with what it seals, and the principals."""

from __future__ import annotations

import sqlite3

from rco.model.principal import Principal
from rco.store import rows
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal

__all__ = ["head", "principal", "principals", "seals", "segments"]


def seals(connection: sqlite3.Connection, first_n: int, limit: int) -> list[Seal]:
    found = connection.execute(
        f"SELECT {rows.SEAL_COLUMNS} FROM seal WHERE n >= ? ORDER BY n LIMIT ?", (first_n, limit)
    )
    return [rows.seal(row) for row in found]


def head(connection: sqlite3.Connection) -> Seal | None:
    found = connection.execute(f"SELECT {rows.SEAL_COLUMNS} FROM seal ORDER BY n DESC LIMIT 1").fetchone()
    return None if found is None else rows.seal(found)


def segments(connection: sqlite3.Connection, first_n: int, last_n: int) -> list[Segment]:
    first, end = connection.execute(
        "SELECT min(first_place), max(first_place + length(leaves) / 32) FROM seal WHERE n BETWEEN ? AND ?",
        (first_n, last_n),
    ).fetchone()
    if first is None:
        return []
    found = connection.execute(
        f"SELECT {rows.SEGMENT_COLUMNS} FROM journal WHERE place >= ? AND place < ? ORDER BY place", (first, end)
    )
    return [rows.segment(row) for row in found]


def principal(connection: sqlite3.Connection, token_digest: bytes) -> Principal | None:
    found = connection.execute(
        f"SELECT {rows.PRINCIPAL_COLUMNS} FROM principal WHERE token_digest = ?", (token_digest,)
    ).fetchone()
    return None if found is None else rows.principal(found)


def principals(connection: sqlite3.Connection) -> list[Principal]:
    found = connection.execute(f"SELECT {rows.PRINCIPAL_COLUMNS} FROM principal ORDER BY principal_id")
    return [rows.principal(row) for row in found]
