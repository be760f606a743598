"""Versions of the application: what a run is pinned to, and what the node that owns the file can run."""

from __future__ import annotations

import sqlite3
from typing import Any

from rco.store.contract.ownership import Pooled
from rco.store.contract.versions import NodeVersion, OpenRuns
from rco.store.sqlite.bulk import Bulk

__all__ = ["FORGET", "HAVE", "KNOW", "count", "homeless", "known", "nodes", "others", "pooled", "write"]

_MOVE = Bulk("UPDATE run SET version = m.column2 FROM (VALUES ", "(?,?)", ") AS m WHERE run.run_id = m.column1")
KNOW = (
    "INSERT INTO app_version (name, digest, first_us) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET"
    " digest = excluded.digest, first_us = excluded.first_us WHERE digest <> excluded.digest"
)
FORGET = "DELETE FROM node_version"
HAVE = "INSERT OR REPLACE INTO node_version (node, name, current) VALUES (?, ?, ?)"


def write(cursor: sqlite3.Cursor, moved: list[tuple[bytes, str]]) -> None:
    """Runs go on with another version."""
    _MOVE.run(cursor, [value for pair in moved for value in pair])


def pooled(pool: Pooled | None, column: str = "version") -> tuple[str, list[Any]]:
    """The condition for runs that a node with this pool can drive, and its values."""
    if pool is None:
        return "", []
    marks = ",".join("?" * len(pool))
    return f" AND (substr({column}, 1, 1) <> '@' OR {column} IN ({marks}))", sorted(pool)


def others(connection: sqlite3.Connection, versions: dict[str, str]) -> dict[str, str]:
    """Of these names, those that stand for other code while an open run is pinned to them."""
    different = {name: digest for name, digest in known(connection).items() if versions.get(name, digest) != digest}
    return {
        name: digest
        for name, digest in different.items()
        if connection.execute("SELECT 1 FROM run WHERE version = ? LIMIT 1", (f"@{name}",)).fetchone()
    }


def known(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, digest FROM app_version ORDER BY name").fetchall())


def nodes(connection: sqlite3.Connection) -> list[NodeVersion]:
    found = connection.execute("SELECT node, name, current FROM node_version ORDER BY name, node")
    return [NodeVersion(node, name, bool(current), True) for node, name, current in found]


def count(connection: sqlite3.Connection, namespace: str | None) -> list[OpenRuns]:
    found = connection.execute(
        "SELECT substr(version, 2), count(*) FROM run WHERE substr(version, 1, 1) = '@'"
        " AND (?1 IS NULL OR namespace = ?1) GROUP BY 1 ORDER BY 1",
        (namespace,),
    )
    return [OpenRuns(version, n) for version, n in found]


def homeless(connection: sqlite3.Connection) -> list[OpenRuns]:
    found = connection.execute(
        "SELECT substr(version, 2), count(*) FROM run WHERE substr(version, 1, 1) = '@'"
        " AND NOT EXISTS (SELECT 1 FROM node_version WHERE name IN ('', substr(version, 2))) GROUP BY 1 ORDER BY 1"
    )
    return [OpenRuns(version, n) for version, n in found]
