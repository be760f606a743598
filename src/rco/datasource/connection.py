"""The one door to the users' databases: pools, and telling what became of a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg

from rco.datasource.options import Database
from rco.store.postgres.connection import is_passing, state_of

__all__ = ["Connection", "Pool", "connect", "is_passing", "is_rolled_back", "open_pool", "state_of"]

Connection = Any
"""An asyncpg connection. Its own types are too wide to be of use here."""
Pool = Any

_AGAIN = frozenset({"40001", "40P01"})


def is_rolled_back(error: BaseException) -> bool:
    """Whether the database rolled the transaction back so that it is made again: serialization failure, deadlock."""
    return state_of(error) in _AGAIN


def _settings(database: Database) -> dict[str, Any]:
    return {
        "timeout": database.connect_timeout_s,
        "statement_cache_size": 0 if database.pooler else 256,
        "server_settings": {"application_name": f"rco/{database.name}"},
    }


async def connect(dsn: str, database: Database) -> Connection:
    """One connection."""
    return await asyncpg.connect(dsn, **_settings(database))


def open_pool(dsn: Callable[[], str], database: Database) -> Pool:
    """Connections that are opened as they are needed; to be awaited before its first use. Each asks for the address
    anew: a secret that is rotated needs no restart."""

    async def fresh(*_: Any, **settings: Any) -> Connection:
        return await asyncpg.connect(dsn(), **settings)

    return asyncpg.create_pool(
        connect=fresh,
        min_size=0,
        max_size=database.pool_max,
        max_inactive_connection_lifetime=60.0,
        **_settings(database),
    )
