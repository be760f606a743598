"""Applying migrations to PostgreSQL: the same files and the same bookkeeping as dbmate's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rco.errors import SchemaOutdated, StoreError
from rco.store.migration import Migration, Status, known, pending
from rco.store.postgres.connection import Connection, connect, state_of
from rco.store.postgres.options import PostgresOptions

__all__ = ["DURABLE", "applied", "check", "check_schema", "down", "status", "up"]


DIALECT = "postgres"
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
"""Settings that must not be off."""
# Word for word what dbmate creates, so that neither finds the other's table strange.
_TABLE = 'CREATE TABLE IF NOT EXISTS "schema_migrations" (version varchar(128) PRIMARY KEY)'
# One migration at a time, whoever applies it; kept until the transaction ends.
_ALONE = "SELECT pg_advisory_xact_lock(7301)"
_OFF = "SELECT name FROM unnest($1::text[]) AS name WHERE current_setting(name) = 'off'"
T = TypeVar("T")


async def applied(connection: Connection) -> set[str]:
    """Versions that the database has. Empty when it was never migrated."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return set()
    return {row[0] for row in await connection.fetch("SELECT version FROM schema_migrations")}


async def check_schema(connection: Connection) -> None:
    """Raises ``SchemaOutdated`` unless the database has exactly the migrations of this code."""
    missing = pending(known(DIALECT), await applied(connection))
    if missing:
        raise SchemaOutdated(
            f"The schema lacks {len(missing)} migration(s), the first is {missing[0].version}_{missing[0].name}.",
            cure="Run `rco migrate`.",
        )


async def check(connection: Connection) -> None:
    """As ``check_schema``; raises ``StoreError`` when the server may lose what it acknowledged."""
    await check_schema(connection)
    off = [row[0] for row in await connection.fetch(_OFF, list(DURABLE))]
    if off:
        raise StoreError(
            f"The server runs with {off[0]} = off: it may lose what it has acknowledged.",
            cure=f"Set {off[0]} = on.",
        )


async def status(dsn: str) -> list[Status]:
    """Every version that the code or the database knows, in order."""
    done = await _with(dsn, applied)
    names = {migration.version: migration.name for migration in known(DIALECT)}
    return [Status(version, names.get(version, ""), version in done) for version in sorted(names.keys() | done)]


async def up(dsn: str) -> list[str]:
    """Apply what is pending; returns the versions applied, none on a second call.

    Each migration is one transaction: after an error the ones before it stand. Raises ``SchemaOutdated`` for a schema
    newer than the code and ``StoreError`` when PostgreSQL refuses.
    """

    async def work(connection: Connection) -> list[str]:
        async with connection.transaction():
            await connection.execute(_ALONE)
            await connection.execute(_TABLE)
        pending(known(DIALECT), await applied(connection))
        return [migration.version for migration in known(DIALECT) if await _apply(connection, migration)]

    return await _with(dsn, work)


async def down(dsn: str) -> str | None:
    """Undo the newest migration; returns its version, or ``None`` when none is applied. This loses what it held."""

    async def work(connection: Connection) -> str | None:
        done = await applied(connection)
        pending(known(DIALECT), done)
        for migration in reversed(known(DIALECT)):
            if migration.version in done and await _undo(connection, migration):
                return migration.version
        return None

    return await _with(dsn, work)


async def _apply(connection: Connection, migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute(_ALONE)
        # Asked again under the lock: another process may be migrating the same database.
        if migration.version in await applied(connection):
            return False
        await connection.execute(migration.up)
        await connection.execute("INSERT INTO schema_migrations (version) VALUES ($1)", migration.version)
        return True


async def _undo(connection: Connection, migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute(_ALONE)
        if migration.version not in await applied(connection):
            return False
        await connection.execute(migration.down)
        await connection.execute("DELETE FROM schema_migrations WHERE version = $1", migration.version)
        return True


async def _with(dsn: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    try:
        connection = await connect(dsn, PostgresOptions(answer_timeout_s=600.0))
    except Exception as error:
        raise StoreError(f"PostgreSQL cannot be reached: {error}.", cure="Look at the dsn and the server.") from error
    try:
        return await work(connection)
    except Exception as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"The migration could not be run: {state_of(error)} {error}.",
            cure="Nothing of it was done. Mend that, and run rco migrate again.",
        ) from error
    finally:
        await connection.close()
