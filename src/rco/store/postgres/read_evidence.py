"""The questions about the audit chains with what they seal, and about principals."""

from __future__ import annotations

from rco.store import rows

__all__ = [
    "ADD_PRINCIPAL",
    "CHAINS",
    "DROP_PRINCIPAL",
    "FOUND_PRINCIPAL",
    "HEAD",
    "PRINCIPAL",
    "PRINCIPALS",
    "ROWS_AT",
    "SEALS",
    "SPANS",
    "places",
]

# Steps from one chain to the next by the index, whatever their length.
CHAINS = (
    "WITH RECURSIVE found AS ((SELECT chain FROM seal ORDER BY chain LIMIT 1) UNION ALL SELECT (SELECT s.chain FROM"
    " seal AS s WHERE s.chain > found.chain ORDER BY s.chain LIMIT 1) FROM found WHERE found.chain IS NOT NULL)"
    " SELECT chain FROM found WHERE chain IS NOT NULL"
)
SEALS = f"SELECT {rows.SEAL_COLUMNS} FROM seal WHERE chain = $1 AND n >= $2 ORDER BY n LIMIT $3"
HEAD = f"SELECT {rows.SEAL_COLUMNS} FROM seal WHERE chain = $1 ORDER BY n DESC LIMIT 1"
SPANS = "SELECT places FROM seal WHERE chain = $1 AND n BETWEEN $2 AND $3 ORDER BY n"
ROWS_AT = (
    "SELECT j.run_id, j.first_seq, j.n, j.data, j.chain FROM unnest($1::bytea[], $2::integer[])"
    " WITH ORDINALITY AS p(r, s, at)"
    " CROSS JOIN LATERAL (SELECT * FROM journal WHERE run_id = p.r AND first_seq = p.s OFFSET 0) AS j ORDER BY p.at"
)
PRINCIPAL = f"SELECT {rows.PRINCIPAL_COLUMNS} FROM principal WHERE token_digest = $1"
PRINCIPALS = f"SELECT {rows.PRINCIPAL_COLUMNS} FROM principal ORDER BY principal_id"
# A token that already stands for somebody else is refused by the unique index rather than taken over.
_NEW = (
    f"INSERT INTO principal ({rows.PRINCIPAL_COLUMNS}, token_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    " ON CONFLICT (principal_id)"
)
FOUND_PRINCIPAL = f"{_NEW} DO NOTHING"
ADD_PRINCIPAL = (
    f"{_NEW} DO UPDATE SET name = excluded.name, role = excluded.role, namespace = excluded.namespace,"
    " namespaces = excluded.namespaces, expires_us = excluded.expires_us, created_us = excluded.created_us,"
    " origin = excluded.origin, token_digest = excluded.token_digest"
)
DROP_PRINCIPAL = "DELETE FROM principal WHERE principal_id = $1"
_PLACE = 24


def places(spans: list[bytes]) -> tuple[list[bytes], list[int]]:
    """Run ids and first numbers of the journal rows that links name, in the order of their leaves."""
    packed = b"".join(spans)
    starts = range(0, len(packed), _PLACE)
    return (
        [packed[at : at + 16] for at in starts],
        [int.from_bytes(packed[at + 16 : at + _PLACE], "big") for at in starts],
    )
