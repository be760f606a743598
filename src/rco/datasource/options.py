"""How a database of the user's own is reached, as it is declared in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["Database", "Isolation", "database_faults"]

Isolation = Literal["read_committed", "repeatable_read", "serializable"]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A PostgreSQL database that steps commit to, see docs/how-to/commit-with-your-own-rows.md."""

    name: str
    dsn: str
    """Where it is, by reference: `env:NAME` or `file:/path`."""
    pool_max: Annotated[int, Meta(ge=1, le=1_000)] = 8
    """The most connections that one node opens to it."""
    pooler: bool = False
    """There is a transaction pooler (PgBouncer) in between: statements are not kept prepared."""
    isolation: Isolation = "read_committed"
    """Of transactions that do not say otherwise."""
    serialization_retries: Annotated[int, Meta(ge=0, le=1_000)] = 20
    """So often a transaction that the database rolled back as not serializable, or as a deadlock, is made again before
    that counts as a failed attempt."""
    timeout_s: _Seconds = 30.0
    """The function of a step must end within it, unless the step says otherwise."""
    idle_timeout_s: _Seconds = 30.0
    """The database ends a transaction that is left idle for so long: that of a node that is gone holds up nobody
    longer."""
    connect_timeout_s: _Seconds = 10.0
    patience_s: _Seconds = 300.0
    """For so long a database that is away is asked again before that counts as a failed attempt."""
    keep_s: Annotated[float, Meta(ge=3600, le=10 * 366 * 86_400)] = 7 * 86_400.0
    """Records of steps are removed at this age at the earliest, and never before their run is closed."""
    clean_every_s: _Seconds = 60.0
    """How often the oldest are looked at."""


def database_faults(database: Database) -> Iterator[tuple[str, str, str]]:
    """(field, message, cure) of what types cannot say."""
    if database.timeout_s > database.keep_s:
        yield "keep_s", "is shorter than timeout", "Keep records for at least as long as a step may take."
