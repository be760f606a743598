"""Reading the audit chain with what it seals, and the principals."""

from __future__ import annotations

import sqlite3

from rco.model.principal import Principal
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal
from rco.store.sqlite import rows

__all__ = ["head", "principal", "principals", "seals", "segments"]

_PLACE_BYTES = 24


def seals(connection: sqlite3.Connection, first_n: int, limit: int) -> list[Seal]:
    found = connection.execute(
        f"SELECT {rows.SEAL_COLUMNS} FROM seal WHERE n >= ? ORDER BY n LIMIT ?", (first_n, limit)
    )
    return [rows.seal(row) for row in found]


def head(connection: sqlite3.Connection) -> Seal | None:
    found = connection.execute(f"SELECT {rows.SEAL_COLUMNS} FROM seal ORDER BY n DESC LIMIT 1").fetchone()
    return None if found is None else rows.seal(found)


def segments(connection: sqlite3.Connection, first_n: int, last_n: int) -> list[Segment]:
    places = connection.execute("SELECT segments FROM seal WHERE n BETWEEN ? AND ? ORDER BY n", (first_n, last_n))
    found: list[Segment] = []
    for (packed,) in places:
        for at in range(0, len(packed), _PLACE_BYTES):
            place = (packed[at : at + 16], int.from_bytes(packed[at + 16 : at + _PLACE_BYTES], "big"))
            row = connection.execute(
                f"SELECT {rows.SEGMENT_COLUMNS} FROM journal WHERE run_id = ? AND first_seq = ?", place
            ).fetchone()
            if row is not None:
                found.append(rows.segment(row))
    return found


def principal(connection: sqlite3.Connection, token_digest: bytes) -> Principal | None:
    found = connection.execute(
        f"SELECT {rows.PRINCIPAL_COLUMNS} FROM principal WHERE token_digest = ?", (token_digest,)
    ).fetchone()
    return None if found is None else rows.principal(found)


def principals(connection: sqlite3.Connection) -> list[Principal]:
    found = connection.execute(f"SELECT {rows.PRINCIPAL_COLUMNS} FROM principal ORDER BY principal_id")
    return [rows.principal(row) for row in found]
