"""The table of endpoints: compare and swap in one statement, under the lock of the number that it takes."""

from __future__ import annotations

from typing import Any

from rco.store import rows
from rco.store.contract.endpoints import EndpointPage

__all__ = ["FIND", "PAGE", "SWAP", "page"]

# The row of endpoint_head is locked first and until the commit, so numbers appear in their order.
SWAP = (
    "WITH head AS (UPDATE endpoint_head SET seq = seq + 1 RETURNING seq)"
    " INSERT INTO endpoint AS e (id, version, seq, body)"
    " SELECT $1::text, $2::bigint, head.seq, $3::bytea FROM head"
    " WHERE $2::bigint = 1 OR EXISTS (SELECT 1 FROM endpoint WHERE id = $1::text)"
    " ON CONFLICT (id) DO UPDATE SET version = excluded.version, seq = excluded.seq, body = excluded.body"
    " WHERE e.version = excluded.version - 1 RETURNING seq"
)
FIND = "SELECT body FROM endpoint WHERE id = $1"
PAGE = "SELECT seq, body FROM endpoint WHERE seq > $1 ORDER BY seq LIMIT $2"


def page(found: list[Any], after: int) -> EndpointPage:
    """What ``PAGE`` found."""
    return EndpointPage(found[-1][0] if found else after, [rows.endpoint(row[1]) for row in found])
