"""Opening a keeper by where its state lives: a path is SQLite, ``postgresql://`` is PostgreSQL. The code of the
other one is not loaded."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path

from rco.errors import ConfigInvalid, StoreLocked
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.store.address import is_postgres
from rco.store.contract.keeper import Keeper
from rco.store.contract.snapshot import Snapshot
from rco.store.contract.writer import Sealer
from rco.store.migration import Status
from rco.store.options import IN_MEMORY, StoreOptions

__all__ = [
    "IN_MEMORY",
    "is_postgres",
    "migrate_down",
    "migrate_status",
    "migrate_up",
    "need_postgres",
    "open_keeper",
    "open_snapshot",
    "start_keeper",
]

_NODES_OF_A_HOST = 64


def open_keeper(
    where: str, *, clock: Clock, ids: Ids, sealer: Sealer, node: str, options: StoreOptions | None = None
) -> Keeper:
    """The keeper of what lives at ``where``, not started. ``options.direct_dsn`` is an address, no reference to one.

    Raises ``ConfigInvalid`` when its library is not there."""
    if not is_postgres(where):
        from rco.store.sqlite.keeper import SqliteKeeper

        return SqliteKeeper(Path(where), clock=clock, ids=ids, sealer=sealer, node=node)
    need_postgres()
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


async def start_keeper(
    where: str, *, clock: Clock, ids: Ids, sealer: Sealer, host: str, options: StoreOptions | None = None
) -> tuple[Keeper, str]:
    """The keeper of what lives at ``where``, started, and the name of its node: ``options.node``, or the first of
    ``HOST``, ``HOST-2`` and so on under which nobody lives.

    So a process that was killed and is started again finds its own name free, and its shards with it. Raises
    ``StoreLocked`` when the name that was given is taken, and what ``open_keeper`` and ``Keeper.start`` raise.
    """
    options = options or StoreOptions()
    names = [options.node] if options.node else [host, *(f"{host}-{at}" for at in range(2, _NODES_OF_A_HOST + 1))]
    for name in names:
        keeper = open_keeper(where, clock=clock, ids=ids, sealer=sealer, node=name, options=options)
        try:
            await keeper.start()
        except StoreLocked:
            # A file has one owner, whatever it is called.
            if name == names[-1] or not is_postgres(where):
                raise
        else:
            return keeper, name
    raise AssertionError("the last name is tried or refused")


def open_snapshot(where: str, options: StoreOptions | None = None) -> AbstractContextManager[Snapshot]:
    """What the store at ``where`` holds at this moment, owned by somebody or by nobody; nothing of it is changed.

    Entering raises ``NotFound`` when there is no such file, ``SchemaOutdated`` when it needs migrations or has newer
    ones, ``StoreError`` when it cannot be read.
    """
    if not is_postgres(where):
        from rco.store.sqlite.snapshot import open_snapshot as sqlite_snapshot

        return sqlite_snapshot(Path(where))
    need_postgres()
    from rco.store.postgres.options import postgres_options
    from rco.store.postgres.snapshot import open_snapshot as postgres_snapshot

    return postgres_snapshot(where, postgres_options(options or StoreOptions()))


async def migrate_up(where: str) -> list[str]:
    """Apply what is pending; returns the versions applied. See ``rco.store.migrate.up``."""
    if where == IN_MEMORY:
        return []  # it begins at the newest schema
    if not is_postgres(where):
        from rco.store import migrate

        return await asyncio.to_thread(migrate.up, where)
    need_postgres()
    from rco.store.postgres import migrate as postgres

    return await postgres.up(where)


async def migrate_down(where: str) -> str | None:
    """Take back the newest migration; returns its version, ``None`` when there is none."""
    if not is_postgres(where):
        from rco.store import migrate

        return await asyncio.to_thread(migrate.down, where)
    need_postgres()
    from rco.store.postgres import migrate as postgres

    return await postgres.down(where)


async def migrate_status(where: str) -> list[Status]:
    """Every version that the code or the database knows, in order."""
    if not is_postgres(where):
        from rco.store import migrate

        return await asyncio.to_thread(migrate.status, where)
    need_postgres()
    from rco.store.postgres import migrate as postgres

    return await postgres.status(where)


def need_postgres() -> None:
    """Raises ``ConfigInvalid`` when the library for PostgreSQL is not there."""
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        raise ConfigInvalid(
            "PostgreSQL needs a library that is not installed.", cure="pip install 'rco[postgres]'"
        ) from None
