"""The table of revocations: how an entry gets its number, and how a page is read."""

from __future__ import annotations

import sqlite3

from rco.store import rows
from rco.store.contract.revocations import Revocation, RevocationPage

__all__ = ["ADD", "find", "page", "values"]

_EPOCH = "(SELECT coalesce(max(epoch), 0) + 1 FROM revocation WHERE kind = 'epoch' AND name = ?2)"
# There is one writer, so what is read here is what is written.
ADD = (
    f"INSERT INTO revocation ({rows.REVOCATION_COLUMNS})"
    f" SELECT coalesce(max(seq), 0) + 1, ?1, ?2, iif(?1 = 'epoch', {_EPOCH}, 0), ?3, ?4, ?5 FROM revocation"
    " WHERE true ON CONFLICT (kind, name, epoch) DO NOTHING"
)


def values(entry: Revocation) -> tuple[str | int, ...]:
    return (entry.kind.value, entry.name, entry.at_us, entry.actor, entry.reason)


def find(connection: sqlite3.Connection, entry: Revocation) -> Revocation:
    """The newest entry for what ``entry`` names. It must be there."""
    found = connection.execute(
        f"SELECT {rows.REVOCATION_COLUMNS} FROM revocation WHERE kind = ? AND name = ? ORDER BY epoch DESC LIMIT 1",
        (entry.kind.value, entry.name),
    ).fetchone()
    return rows.revocation(found)


def page(connection: sqlite3.Connection, after: int, limit: int) -> RevocationPage:
    head = connection.execute("SELECT coalesce(max(seq), 0) FROM revocation").fetchone()[0]
    found = connection.execute(
        f"SELECT {rows.REVOCATION_COLUMNS} FROM revocation WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    )
    return RevocationPage(head, [rows.revocation(row) for row in found])
