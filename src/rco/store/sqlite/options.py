"""The settings of a SQLite keeper."""

from __future__ import annotations

import msgspec

from rco.kit.backoff import Backoff

__all__ = ["SqliteOptions"]


class SqliteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults suit one service with its database on a local disk."""

    notes_limit: int = 512
    """Decisions that nobody waits for and that are not yet committed; over it the oldest is dropped and counted."""
    busy_timeout_s: float = 5.0
    """How long SQLite itself waits for a lock of somebody else (a backup, a shell)."""
    backoff: Backoff = Backoff(first_s=0.05, cap_s=2.0, jitter=0.0)
    """Between attempts of a transaction that met a full disk, a lock or an I/O error."""
    give_up_after_s: float = 60.0
    """A trouble that lasts longer is taken for permanent, and the node stops."""
    give_up_at_stop_s: float = 5.0
    """The same while stopping."""
    readers: int = 2
    """Threads that read, each with a connection of its own."""
    read_limit: int = 1000
    """The most rows that one page of a list holds, whatever was asked for."""
    checkpoint_pages: int = 1000
    """Size of the write-ahead log (in pages of 4 KiB) at which it is folded back into the database."""
    cache_bytes: int = 32 << 20
    """Pages of the database that the writer keeps in memory."""
