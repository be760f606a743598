"""Versions of the application: what a run is pinned to, and which node can run what."""

from __future__ import annotations

from typing import Any

from rco.store.contract.versions import Pins
from rco.store.postgres.text import plain_all

__all__ = ["ANNOUNCE", "COUNT", "HOMELESS", "KNOWN", "NODES", "around", "columns", "pooled"]

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
    "SELECT substr(r.version, 2), count(*) FROM run AS r JOIN lease AS l ON l.shard = r.shard"
    " WHERE left(r.version, 1) = '@' AND NOT EXISTS (SELECT 1 FROM node_version AS v WHERE v.node = l.owner"
    " AND v.name IN ('', substr(r.version, 2))) GROUP BY 1 ORDER BY 1"
)
_COLUMNS = 2


def around(flush: str, arguments: int) -> str:
    """The expression of a flush that also moves runs to versions. ``flush`` is the one without, with ``arguments``."""
    return f"rco_versions({flush}, {', '.join(f'${arguments + at}' for at in range(1, _COLUMNS + 1))})"


def columns(moved: list[tuple[bytes, str]]) -> tuple[list[Any], ...]:
    """``moved`` in the order of ``rco_versions``; of a run that was moved twice the last counts."""
    last = dict(moved)
    return list(last), plain_all(list(last.values()))


def pooled(pool: Pins | None, values: list[Any], column: str = "version") -> str:
    """The condition for runs that a node with this pool can drive; its values are added to ``values``."""
    if pool is None:
        return ""
    values.append(sorted(pool))
    return f" AND (left({column}, 1) <> '@' OR {column} = ANY (${len(values)}::text[]))"
