"""How a database of the user's own is reached, as it is declared in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["Database", "Isolation", "Outbox", "database_faults"]

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


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """An outbox that is read from a declared database, see docs/how-to/start-runs-by-sql.md."""

    name: str
    database: str
    """The name of a database under `databases`, prepared by `rco outbox init`."""
    namespace: str = "default"
    """Whatever comes out of it is in this namespace."""
    workflows: list[str] = []
    """The only ones that may be started and signalled from it. Empty: all there are."""
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """The most entries that are read in one transaction."""
    workers: Annotated[int, Meta(ge=1, le=16)] = 4
    """So many transactions are open at a time, on connections of the database's pool."""
    poll_s: Annotated[float, Meta(gt=0, le=3600)] = 2.0
    """Between two looks for entries that nobody told of."""
    listen: bool = True
    """Wait for notifications, on a connection of its own; not where the database is behind a pooler."""
    body_limit_bytes: Annotated[int, Meta(ge=1024, le=64 << 20)] = 1 << 20
    """The largest body of an entry. Larger ones are refused without being read."""
    tries: Annotated[int, Meta(ge=1, le=1_000)] = 20
    """So often an entry that cannot be taken yet (too many unread signals) is tried before it becomes a dead letter."""
    keep_s: Annotated[float, Meta(ge=3600, le=10 * 366 * 86_400)] = 30 * 86_400.0
    """Dead letters are removed after it."""


def database_faults(database: Database) -> Iterator[tuple[str, str, str]]:
    """(field, message, cure) of what types cannot say."""
    if database.timeout_s > database.keep_s:
        yield "keep_s", "is shorter than timeout", "Keep records for at least as long as a step may take."
