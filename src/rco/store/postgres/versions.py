"""Versions of the application: what a run is pinned to, and which node can run what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.store.contract.ownership import Pooled, Shards
from rco.store.pools import byte_of
from rco.store.postgres.text import plain_all

__all__ = ["ANNOUNCE", "COUNT", "HOMELESS", "KNOWN", "NODES", "columns", "within"]

ANNOUNCE = "SELECT name, digest FROM rco_announce($1, $2, $3, $4, $5)"
KNOWN = "SELECT name, digest FROM app_version ORDER BY name"
NODES = (
    "SELECT v.node, v.name, v.current, coalesce(n.alive_until > clock_timestamp(), false) FROM node_version AS v"
    " LEFT JOIN node AS n ON n.name = v.node ORDER BY v.name, v.node"
)
COUNT = (
    "SELECT substr(version, 2), count(*) FROM run WHERE left(version, 1) = '@'"
    " AND ($1::text IS NULL OR namespace = $1) GROUP BY 1 ORDER BY 1"
)
HOMELESS = (
    "SELECT substr(r.version, 2), count(*) FROM run AS r WHERE left(r.version, 1) = '@' AND NOT EXISTS (SELECT 1"
    " FROM node_version AS v JOIN node AS n ON n.name = v.node WHERE v.name IN ('', substr(r.version, 2))"
    " AND n.alive_until > clock_timestamp()) GROUP BY 1 ORDER BY 1"
)


def columns(moved: list[tuple[bytes, str]]) -> tuple[list[Any], ...]:
    """``moved`` in the order of ``rco_versions``; of a run that was moved twice the last counts."""
    last = dict(moved)
    return list(last), plain_all(list(last.values()))


def within(
    shards: Shards | None,
    pool: Pooled | None,
    values: list[Any],
    version: str = "version",
    shard: str = "shard",
) -> str:
    """The condition for runs of these shards and of those of the pool; its values are added to ``values``."""
    if pool is None:
        return "" if shards is None else _those(f"{shard} =", {byte_of(one) for one in shards}, values)
    free = f"left({version}, 1) <> '@'"
    if shards is not None:
        free += _those(f"{shard} =", shards, values)
    ways = [free]
    whole = sorted(pin for pin, own in pool.items() if own is None)
    if whole:
        values.append(whole)
        ways.append(f"{version} = ANY (${len(values)}::text[])")
    pairs = sorted((pin, one) for pin, own in pool.items() if own is not None for one in own)
    if pairs:
        values += [[pin for pin, _ in pairs], [one for _, one in pairs]]
        at = len(values)
        ways.append(f"({version}, {shard}) IN (SELECT * FROM unnest(${at - 1}::text[], ${at}::smallint[]))")
    return f" AND ({' OR '.join(f'({way})' for way in ways)})"


def _those(column: str, among: Iterable[Any], values: list[Any]) -> str:
    values.append(sorted(among))
    return f" AND {column} ANY (${len(values)})"
