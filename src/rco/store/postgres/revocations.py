"""The table of revocations: how an entry gets its number, and how a page is read."""

from __future__ import annotations

from typing import Any

from rco.store import rows
from rco.store.contract.revocations import Revocation, RevocationPage
from rco.store.postgres.text import plain

__all__ = ["ADD", "FIND", "PAGE", "page", "values"]

# The row of revocation_head is locked first and until the commit, so numbers appear in their order. An entry that is
# there already takes a number and leaves it unused.
ADD = (
    "WITH head AS (UPDATE revocation_head SET seq = seq + 1 RETURNING seq)"
    f" INSERT INTO revocation ({rows.REVOCATION_COLUMNS})"
    " SELECT head.seq, $1::text, $2::text, CASE WHEN $1::text = 'epoch' THEN"
    " (SELECT coalesce(max(epoch), 0) + 1 FROM revocation WHERE kind = 'epoch' AND name = $2::text)"
    " ELSE 0 END, $3::bigint, $4::text, $5::text FROM head ON CONFLICT (kind, name, epoch) DO NOTHING"
)
FIND = f"SELECT {rows.REVOCATION_COLUMNS} FROM revocation WHERE kind = $1 AND name = $2 ORDER BY epoch DESC LIMIT 1"
# One statement, one snapshot: the head and what is behind it belong together.
PAGE = (
    f"SELECT h.seq, r.* FROM revocation_head AS h LEFT JOIN (SELECT {rows.REVOCATION_COLUMNS} FROM revocation"
    " WHERE seq > $1 ORDER BY seq LIMIT $2) AS r ON true ORDER BY r.seq"
)


def values(entry: Revocation) -> tuple[Any, ...]:
    return (entry.kind.value, plain(entry.name), entry.at_us, plain(entry.actor), plain(entry.reason))


def page(found: list[Any]) -> RevocationPage:
    """What ``PAGE`` found."""
    entries = [rows.revocation(tuple(row)[1:]) for row in found if row[1] is not None]
    return RevocationPage(found[0][0] if found else 0, entries)
