"""The table of namespace keys: how they are added, rewrapped, erased and read."""

from __future__ import annotations

from typing import Any

from rco.store import rows
from rco.store.contract.namespace_keys import NamespaceKeyPage

__all__ = ["ADD", "ERASE", "PAGE", "REWRAP", "WIPE", "page"]

# The row of namespace_key_head is locked first and until the commit, so numbers appear in their order.
_HEAD = "WITH head AS (UPDATE namespace_key_head SET seq = seq + 1 RETURNING seq)"
ADD = (
    f"{_HEAD} INSERT INTO namespace_key ({rows.NAMESPACE_KEY_COLUMNS})"
    " SELECT $1::bytea, $2::text, $3::bigint, $4::text, $5::bytea, $6::bigint, $7::bigint, $8::text, $9::text,"
    " $10::bigint, $11::text, $12::text, head.seq FROM head"
)
REWRAP = (
    f"{_HEAD} UPDATE namespace_key SET root_kid = $2::text, wrapped = $3::bytea, seq = head.seq FROM head"
    " WHERE key_id = $1::bytea AND erased_us IS NULL"
)
# One number for each of the rows, as a reader asks for what is behind the last one it knows. A key that is added while
# this waits for the lock is not among them: who erases looks again.
ERASE = (
    "WITH head AS (UPDATE namespace_key_head SET seq = seq"
    " + (SELECT count(*) FROM namespace_key WHERE namespace = $1::text AND erased_us IS NULL) RETURNING seq),"
    " which AS (SELECT key_id, row_number() OVER (ORDER BY version DESC) - 1 AS back"
    " FROM namespace_key WHERE namespace = $1::text AND erased_us IS NULL)"
    " UPDATE namespace_key AS k SET wrapped = ''::bytea, erased_us = $2::bigint, erased_by = $3::text,"
    " erased_why = $4::text, seq = head.seq - which.back FROM head, which"
    " WHERE k.key_id = which.key_id AND k.erased_us IS NULL RETURNING k.key_id"
)
WIPE = "VACUUM namespace_key"
# One statement, one snapshot: the head and what is behind it belong together.
PAGE = (
    f"SELECT h.seq, k.* FROM namespace_key_head AS h LEFT JOIN (SELECT {rows.NAMESPACE_KEY_COLUMNS} FROM namespace_key"
    " WHERE seq > $1 ORDER BY seq LIMIT $2) AS k ON true ORDER BY k.seq"
)


def page(found: list[Any]) -> NamespaceKeyPage:
    """What ``PAGE`` found."""
    keys = [rows.namespace_key(tuple(row)[1:]) for row in found if row[1] is not None]
    return NamespaceKeyPage(found[0][0] if found else 0, keys)
