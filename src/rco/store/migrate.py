"""Applying migrations to SQLite, without dbmate but so that it finds what it expects."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rco.errors import SchemaOutdated, StoreError
from rco.store.migration import Migration, Status, known, parse, pending

__all__ = [
    "Migration",
    "Status",
    "applied",
    "bring_up",
    "check",
    "down",
    "known",
    "parse",
    "pending",
    "private_file",
    "status",
    "up",
]

# Word for word what dbmate creates, so that neither finds the other's table strange.
_TABLE = 'CREATE TABLE IF NOT EXISTS "schema_migrations" (version varchar(128) primary key)'
_BUSY_S = 30.0


def applied(connection: sqlite3.Connection) -> set[str]:
    """Versions that the database has. Empty when it was never migrated."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'")
    if found.fetchone() is None:
        return set()
    return {str(row[0]) for row in connection.execute("SELECT version FROM schema_migrations")}


def check(connection: sqlite3.Connection) -> None:
    """Raises ``SchemaOutdated`` unless the database has exactly the migrations of this code."""
    missing = pending(known(), applied(connection))
    if missing:
        raise SchemaOutdated(
            f"The schema lacks {len(missing)} migration(s), the first is {missing[0].version}_{missing[0].name}.",
            cure="Run `rco migrate`.",
        )


def status(path: Path | str) -> list[Status]:
    """Every version that the code or the database knows, in order. A missing file has none applied."""
    done: set[str] = set()
    if Path(path).exists():
        with _opened(Path(path)) as connection:
            done = applied(connection)
    names = {migration.version: migration.name for migration in known()}
    return [Status(version, names.get(version, ""), version in done) for version in sorted(names.keys() | done)]


def up(path: Path | str) -> list[str]:
    """Apply what is pending; returns the versions applied, none on a second call.

    Creates the file, readable by its owner only, when it is not there. Each migration is one transaction: after an
    error the ones before it stand. Raises ``SchemaOutdated`` for a schema newer than the code and ``StoreError`` when
    SQLite refuses.
    """
    private_file(Path(path))
    with _opened(Path(path)) as connection:
        return bring_up(connection)


def bring_up(connection: sqlite3.Connection) -> list[str]:
    """As ``up``, on a connection that is open already: for a database that is no file."""
    connection.execute(_TABLE)
    pending(known(), applied(connection))
    return [migration.version for migration in known() if _apply(connection, migration)]


def down(path: Path | str) -> str | None:
    """Undo the newest migration; returns its version, or ``None`` when none is applied. This loses what it held."""
    if not Path(path).exists():
        return None
    with _opened(Path(path)) as connection:
        pending(known(), applied(connection))
        for migration in reversed(known()):
            if _undo(connection, migration):
                return migration.version
    return None


def _apply(connection: sqlite3.Connection, migration: Migration) -> bool:
    with _transaction(connection, migration.version):
        # Asked again under the lock: another process may be migrating the same file.
        if migration.version in applied(connection):
            return False
        _run(connection, migration.up)
        connection.execute("INSERT INTO schema_migrations (version) VALUES (?)", (migration.version,))
        return True


def _undo(connection: sqlite3.Connection, migration: Migration) -> bool:
    with _transaction(connection, migration.version):
        if migration.version not in applied(connection):
            return False
        _run(connection, migration.down)
        connection.execute("DELETE FROM schema_migrations WHERE version = ?", (migration.version,))
        return True


def _run(connection: sqlite3.Connection, script: str) -> None:
    # executescript() would commit first; statement by statement the transaction stays whole.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    if statement.strip():
        connection.execute(statement)


@contextmanager
def _transaction(connection: sqlite3.Connection, version: str) -> Iterator[None]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise StoreError(
            f"Migration {version} could not be run: {error}.",
            cure="Nothing of it was done. Mend that, and run rco migrate again.",
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreError(f"The database {path} cannot be used: {error}.") from error


def private_file(path: Path) -> None:
    """Make the file with mode 0600 when it is not there; what SQLite lays beside it takes the same mode.

    Raises ``StoreError`` when the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"The database {path} cannot be made: {error.strerror}.") from error
