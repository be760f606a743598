"""The table of states of limits: written by the one writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from rco.store.contract.limit_states import STATES_LIMIT, LimitState

__all__ = ["WRITE", "read", "values", "versions"]

WRITE = (
    "INSERT INTO limit_state (kind, name, version, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, body = excluded.body"
)
_READ = "SELECT kind, name, version, body FROM limit_state WHERE kind = ?"


def values(state: LimitState) -> tuple[str | int | bytes, ...]:
    return (state.kind, state.name, state.version, state.body)


def read(connection: sqlite3.Connection, kind: str, names: Sequence[str] | None) -> list[LimitState]:
    if names is None:
        found = connection.execute(f"{_READ} ORDER BY name LIMIT {STATES_LIMIT}", (kind,))
        return [LimitState(*row) for row in found]
    rows = [connection.execute(f"{_READ} AND name = ?", (kind, name)).fetchone() for name in sorted(set(names))]
    return [LimitState(*row) for row in rows if row is not None]


def versions(connection: sqlite3.Connection, states: Sequence[LimitState]) -> list[int]:
    """What version stands for each of them; 0: none."""
    ask = "SELECT version FROM limit_state WHERE kind = ? AND name = ?"
    found = [connection.execute(ask, (one.kind, one.name)).fetchone() for one in states]
    return [0 if row is None else row[0] for row in found]
