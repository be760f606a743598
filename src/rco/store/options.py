"""What an operator may set of a keeper, whichever it is; the rest are constants of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["IN_MEMORY", "Fault", "StoreOptions", "faults"]

IN_MEMORY = ":memory:"
"""Where SQLite keeps a database in the memory of one process and nowhere else."""

Few = Annotated[int, Meta(ge=1, le=64)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
NodeName = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$", max_length=200)]
Fault = tuple[str, str, str]
"""The field, what is wrong with it, and the cure."""


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the PostgreSQL keeper. SQLite has one owner and one writer, and looks at none of them.

    A node that was killed is replaced when its lease has run out: ``lease_ttl_s`` after its last heartbeat at the
    latest, and what it takes to load its runs. The defaults keep that under 10 s; ``lease_ttl_s`` 2, ``heartbeat_s``
    0.5 and ``lease_margin_s`` 0.5 keep it under 3 s, for four times the heartbeats.
    """

    node: NodeName = ""
    """The name of this node, which no other living one may have. A node that was killed and is started again under its
    name goes on with its shards at once; under another one it waits until its old lease has run out. Empty: the
    host's name, or the first of `HOST-2`, `HOST-3` and so on that nobody lives under."""
    heartbeat_s: Seconds = 2.0
    """Between two renewals of this node's lease; at most a third of `lease_ttl`."""
    lease_ttl_s: Seconds = 8.0
    """How long a lease counts after a heartbeat. A node that is silent for longer is replaced."""
    lease_margin_s: Seconds = 1.0
    """So long before its lease runs out, by its own clock, a node sends nothing any more. It must be longer than a
    request takes from the decision to the socket, and than two clocks drift apart within `lease_ttl`."""
    poll_s: Seconds = 2.0
    """Between two looks for messages from other nodes, should a notification have been lost."""
    flushers: Few = 2
    """Connections that commit, each with an audit chain of its own. More of them help where a commit takes long."""
    readers: Few = 4
    """The most connections that read at the same time: the size of the pool."""
    pooler: bool = False
    """`path` leads to a transaction pooler (PgBouncer): no prepared statements, no LISTEN, no locks of a session."""
    direct_dsn: str = ""
    """An address past the pooler, or a reference to one, for LISTEN alone. Without it a node behind a pooler finds its
    messages by looking for them every `poll`."""


def faults(options: StoreOptions) -> Iterator[Fault]:
    """What does not fit together."""
    ttl_s, beat_s, margin_s = options.lease_ttl_s, options.heartbeat_s, options.lease_margin_s
    if beat_s * 3 > ttl_s:
        yield (
            "heartbeat_s",
            f"is {beat_s:g} s, more than a third of lease_ttl ({ttl_s:g} s): one lost heartbeat would end the lease",
            f"Write at most {ttl_s / 3:g}s, or a longer lease_ttl.",
        )
    elif beat_s * 2 > ttl_s - margin_s:
        yield (
            "lease_margin_s",
            f"is {margin_s:g} s: a lease of {ttl_s:g} s must outlast it and two heartbeats of {beat_s:g} s",
            f"Write at most {ttl_s - 2 * beat_s:g}s, or a longer lease_ttl.",
        )
    if options.direct_dsn and not options.pooler:
        yield (
            "direct_dsn",
            "is given, and nothing says that path leads to a pooler",
            "Write pooler: true, or leave direct_dsn out.",
        )
