"""The table of states of limits: compare and swap in one statement, and the database's clock with every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rco.store.contract.limit_states import STATES_LIMIT, LimitState, StatesRead

__all__ = ["READ", "SWAP", "columns", "states"]

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
# The clock comes first, so that there is a row where there is no state.
READ = (
    f"SELECT t.now_us, s.kind, s.name, s.version, s.body FROM (SELECT {_NOW} AS now_us) AS t LEFT JOIN (SELECT * FROM"
    " limit_state WHERE kind = $1 AND ($2::text[] IS NULL OR name = ANY ($2::text[]))"
    f" ORDER BY name LIMIT {STATES_LIMIT}) AS s ON true ORDER BY s.name"
)
# Rows are locked in the order of their names, whoever asks: two that swap the same do not wait for each other in turn.
SWAP = (
    "WITH asked AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[])"
    " AS a (kind, name, version, body) ORDER BY kind, name),"
    " won AS (INSERT INTO limit_state AS s (kind, name, version, body)"
    " SELECT kind, name, version, body FROM asked WHERE version = 1 OR EXISTS"
    " (SELECT FROM limit_state AS there WHERE there.kind = asked.kind AND there.name = asked.name)"
    " ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, body = excluded.body"
    " WHERE s.version = excluded.version - 1 RETURNING kind, name, version, body)"
    f" SELECT t.now_us, w.* FROM (SELECT {_NOW} AS now_us) AS t LEFT JOIN won AS w ON true ORDER BY w.name"
)


def columns(asked: Sequence[LimitState]) -> tuple[list[str], list[str], list[int], list[bytes]]:
    return (
        [one.kind for one in asked],
        [one.name for one in asked],
        [one.version for one in asked],
        [one.body for one in asked],
    )


def states(found: list[Any]) -> StatesRead:
    """What ``READ`` or ``SWAP`` found."""
    return StatesRead(found[0][0], [LimitState(*tuple(row)[1:]) for row in found if row[1] is not None])
