"""A keeper: a store that passes the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rco.store.contract.news import News
from rco.store.contract.ownership import Ownership
from rco.store.contract.reader import Reader
from rco.store.contract.retaining import Retaining
from rco.store.contract.rewind import Rewind
from rco.store.contract.writer import Writer

__all__ = ["Keeper"]


class Keeper(News, Protocol):
    """Opens, owns, writes and reads one database."""

    @property
    def writer(self) -> Writer: ...

    @property
    def reader(self) -> Reader: ...

    @property
    def retaining(self) -> Retaining: ...

    @property
    def ownership(self) -> Ownership:
        """Which shards this process owns."""
        ...

    def on_mail(self, listener: Callable[[bytes], None]) -> None:
        """Call ``listener(run id)`` for owned runs that another node has opened, woken or written to, and for parked
        ones that were written to before this keeper started, or before this call. May tell twice; what it misses is
        told again by a slow poll. Call it after ``start``. An identity that ``rco.model.queue.poke_of`` gives stands
        for the queues of an owned shard that another node has written to; of these it may miss some."""
        ...

    def on_rewound(self, listener: Callable[[Rewind], None]) -> None:
        """Call ``listener`` when the database turns out to have lost commits that it had acknowledged, after what
        followed from them is put aside. Where there is one owner on one file, that is never noticed."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch this process owns the database's shards under."""
        ...

    async def start(self) -> None:
        """Take ownership and be ready. Raises ``StoreLocked`` when another process holds it, ``SchemaOutdated`` when
        migrations are missing."""
        ...

    async def stop(self) -> None: ...
