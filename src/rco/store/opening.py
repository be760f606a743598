"""Opening a keeper by where its state lives: a path is SQLite, ``postgresql://`` is PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rco.errors import ConfigInvalid
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.store import migrate
from rco.store.contract.keeper import Keeper
from rco.store.contract.writer import Sealer
from rco.store.migration import Status
from rco.store.options import StoreOptions
from rco.store.sqlite.keeper import SqliteKeeper

__all__ = ["is_postgres", "migrate_down", "migrate_status", "migrate_up", "open_keeper"]


def is_postgres(where: str) -> bool:
    """Whether ``where`` is the address of a PostgreSQL database."""
    return where.startswith(("postgresql://", "postgres://"))


def open_keeper(
    where: str, *, clock: Clock, ids: Ids, sealer: Sealer, node: str, options: StoreOptions | None = None
) -> Keeper:
    """The keeper of what lives at ``where``, not started. ``options.direct_dsn`` is an address, no reference to one.

    Raises ``ConfigInvalid`` when its library is not there."""
    if not is_postgres(where):
        return SqliteKeeper(Path(where), clock=clock, ids=ids, sealer=sealer, node=node)
    _need_asyncpg()
    from rco.store.postgres.keeper import PostgresKeeper
    from rco.store.postgres.options import postgres_options

    return PostgresKeeper(
        where,
        clock=clock,
        ids=ids,
        sealer=sealer,
        node=node,
        options=postgres_options(options or StoreOptions()),
    )


async def migrate_up(where: str) -> list[str]:
    """Apply what is pending; returns the versions applied. See ``rco.store.migrate.up``."""
    if not is_postgres(where):
        return await asyncio.to_thread(migrate.up, where)
    _need_asyncpg()
    from rco.store.postgres import migrate as postgres

    return await postgres.up(where)


async def migrate_down(where: str) -> str | None:
    """Take back the newest migration; returns its version, ``None`` when there is none."""
    if not is_postgres(where):
        return await asyncio.to_thread(migrate.down, where)
    _need_asyncpg()
    from rco.store.postgres import migrate as postgres

    return await postgres.down(where)


async def migrate_status(where: str) -> list[Status]:
    """Every version that the code or the database knows, in order."""
    if not is_postgres(where):
        return await asyncio.to_thread(migrate.status, where)
    _need_asyncpg()
    from rco.store.postgres import migrate as postgres

    return await postgres.status(where)


def _need_asyncpg() -> None:
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        raise ConfigInvalid(
            "PostgreSQL needs a library that is not installed.", cure="pip install 'rco[postgres]'"
        ) from None
