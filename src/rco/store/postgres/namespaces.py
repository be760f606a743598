"""Namespaces: what the door asks, counted by the statement that admits."""

from __future__ import annotations

from typing import Any

from rco.kit.clock import MICROS
from rco.model.namespace import Usage
from rco.store import rows
from rco.store.contract.namespaces import RECOUNT_EVERY_US
from rco.store.postgres.connection import Connection, fetch
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.text import plain, plain_all
from rco.store.quota import DAY_S, Added, Space

__all__ = ["CHANGE", "COUNT", "PAGE", "PUT_IN", "RECOUNT", "RECOUNT_NOW", "columns", "look_up", "usage"]

_USED = "open_runs, stored_bytes, counted_us, second, starts_second, day, starts_day, events_day"
_LOOK = (
    f"SELECT {rows.NAMESPACE_COLUMNS}, {_USED}, CASE WHEN quotas::jsonb ? 'schedules' THEN"
    " (SELECT count(*) FROM schedule AS s WHERE s.namespace = n.name) ELSE 0 END"
    " FROM namespace AS n WHERE n.name = ANY ($1::text[])"
)
RECOUNT_NOW = "SELECT rco_recount($1, $2, $3, $4)"
PAGE = f"SELECT {rows.NAMESPACE_COLUMNS} FROM namespace ORDER BY name"
PUT_IN = (
    "INSERT INTO namespace (name, created_us, state, quotas, revision, origin) VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT (name) DO NOTHING"
)
# created_us is what it was; a second sending finds its own revision there, and the answer is read, not counted.
CHANGE = (
    "UPDATE namespace SET state = $3, quotas = $4, revision = $5, origin = $6, open_runs = NULL, stored_bytes = NULL"
    " WHERE name = $1 AND created_us = $2 AND revision = $7"
)
RECOUNT = "UPDATE namespace SET open_runs = NULL, stored_bytes = NULL WHERE name = ANY ($1::text[])"
COUNT = (
    f"SELECT {_USED}, (SELECT count(*) FROM run WHERE namespace = $1 AND left(workflow, 4) <> 'rco.'),"
    " (SELECT count(*) FROM schedule WHERE namespace = $1), quotas::jsonb ? 'stored_bytes'"
    " FROM namespace WHERE name = $1"
)


def columns(added: dict[str, Added], now_us: int) -> tuple[Any, ...]:
    """What a transaction adds, in the order of ``rco_quota``: by name, so that no two wait for each other."""
    ordered = sorted(added.items())
    second = now_us // MICROS
    return (
        plain_all([name for name, _ in ordered]),
        [one.must for _, one in ordered],
        [one.open for _, one in ordered],
        [one.starts for _, one in ordered],
        [one.events for _, one in ordered],
        [one.size_bytes for _, one in ordered],
        [one.must and one.schedules > 0 for _, one in ordered],
        second,
        second // DAY_S,
    )


async def look_up(connection: Connection, options: PostgresOptions, names: set[str], now_us: int) -> dict[str, Space]:
    """What the namespaces may have and what they have. Open runs are counted again where the bound is met and the last
    count is old enough, payloads where they are not known."""
    asked = sorted(plain(name) for name in names)
    found = await fetch(connection, options, _LOOK, (asked,))
    counted = False
    for row in found:
        quotas, (open_runs, stored, counted_us) = rows.namespace(tuple(row)[:6]).quotas, tuple(row)[6:9]
        limit = quotas.open_runs
        full = limit is not None and open_runs is not None and open_runs >= limit
        recount = open_runs is None or (full and now_us - counted_us >= RECOUNT_EVERY_US)
        measure = stored is None and quotas.stored_bytes is not None
        if recount or measure:
            await fetch(connection, options, RECOUNT_NOW, (row[0], now_us, recount, measure))
            counted = True
    if counted:
        found = await fetch(connection, options, _LOOK, (asked,))
    return {row[0]: _space(tuple(row)) for row in found}


def _space(row: tuple[Any, ...]) -> Space:
    open_runs, stored, _, second, starts_second, day, starts_day, events_day, schedules = row[6:]
    return Space(
        rows.namespace(row[:6]),
        open_runs or 0,
        second,
        starts_second,
        day,
        starts_day,
        events_day,
        stored or 0,
        schedules,
    )


def usage(found: list[Any], now_us: int) -> Usage:
    """What ``COUNT`` found."""
    if not found:
        return Usage()
    _, stored, _, second, starts_second, day, starts_day, events_day, open_runs, schedules, _ = tuple(found[0])
    return rows.usage_at(
        now_us,
        open_runs=open_runs,
        stored_bytes=stored,
        schedules=schedules,
        second=second,
        starts_second=starts_second,
        day=day,
        starts_day=starts_day,
        events_day=events_day,
    )
