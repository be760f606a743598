"""Rows of tables that serve open runs only, where the run is not open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.servers.postgres import PostgresServer

__all__ = ["of_postgres", "of_sqlite"]


def of_sqlite(database: Path) -> dict[str, int]:
    """What is left in a file, and what SQLite says of it."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = _found(lambda sql: int(connection.execute(sql).fetchone()[0]))
        if connection.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            found["integrity"] = 1
        return found


def of_postgres(server: PostgresServer, database: str) -> dict[str, int]:
    """What is left in a database."""
    return _found(lambda sql: int(server.query(database, sql)[0][0]))


def _found(count: Callable[[str], int]) -> dict[str, int]:
    found = {
        table: count(f"SELECT count(*) FROM {table} WHERE run_id NOT IN (SELECT run_id FROM run)")
        for table in ("message", "timer", "waiter")
    }
    found["run both open and closed"] = count(
        "SELECT count(*) FROM run AS r JOIN closed_run AS c ON c.run_id = r.run_id"
    )
    found["open run"] = count("SELECT count(*) FROM run")
    return {name: number for name, number in found.items() if number}
