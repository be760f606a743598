"""The settings of a PostgreSQL keeper."""

from __future__ import annotations

import math

import msgspec

from rco.kit.backoff import Backoff
from rco.store.options import StoreOptions

__all__ = ["PostgresOptions", "postgres_options"]


class PostgresOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults suit several nodes with one PostgreSQL in the same region."""

    flushers: int = 2
    """Connections that commit, each with a chain of its own; a shard belongs to one of them."""
    readers: int = 4
    """The most connections that read at the same time."""
    read_limit: int = 1000
    """The most rows that one page of a list holds, whatever was asked for."""
    notes_limit: int = 512
    """Decisions that nobody waits for and that are not yet committed; over it the oldest is dropped and counted."""
    heartbeat_s: float = 2.0
    """Between two renewals of this node's lease."""
    ttl_s: float = 8.0
    """How long the lease counts after a heartbeat. A node that is gone for longer is replaced."""
    margin_s: float = 1.0
    """Before the lease runs out by this node's own clock, nothing is sent any more."""
    poll_s: float = 2.0
    """Between two looks for messages that other nodes left, should a notification have been lost."""
    pooler: bool = False
    """The dsn leads to a transaction pooler: no prepared statements, no LISTEN, no locks of a session."""
    direct_dsn: str = ""
    """Past the pooler, for LISTEN alone. Without it a pooled node finds its messages by looking for them."""
    connect_timeout_s: float = 10.0
    answer_timeout_s: float = 30.0
    """Without an answer for so long a connection is taken for lost."""
    backoff: Backoff = Backoff(first_s=0.05, cap_s=2.0, jitter=0.0)
    """Between attempts of a transaction that met a lost connection or a server that cannot now."""
    give_up_after_s: float = math.inf
    """A trouble that lasts longer is taken for permanent, and the node stops."""
    give_up_at_stop_s: float = 5.0
    """The same while stopping."""

    def __post_init__(self) -> None:
        if self.flushers < 1 or self.readers < 1:
            raise ValueError(f"{self.flushers} flushers, {self.readers} readers: at least one of each")
        if not 0 < self.heartbeat_s <= (self.ttl_s - self.margin_s) / 2 or self.margin_s <= 0:
            raise ValueError(
                f"heartbeat_s {self.heartbeat_s}, ttl_s {self.ttl_s}, margin_s {self.margin_s}: a lease must outlast "
                "two heartbeats and the margin"
            )


def postgres_options(options: StoreOptions) -> PostgresOptions:
    """What an operator set, and the constants. Raises ``ValueError`` for what does not fit together."""
    return PostgresOptions(
        flushers=options.flushers,
        readers=options.readers,
        heartbeat_s=options.heartbeat_s,
        ttl_s=options.lease_ttl_s,
        margin_s=options.lease_margin_s,
        poll_s=options.poll_s,
        pooler=options.pooler,
        direct_dsn=options.direct_dsn,
    )
