"""The writer of PostgreSQL: several flushers, each with the shards that belong to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.errors import StoreError
from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.store.collector import Listeners
from rco.store.contract.changes import Changes
from rco.store.contract.writer import Flushed, Sealer
from rco.store.pools import byte_of
from rco.store.postgres.flusher import Flusher, Identity
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.ownership import NodeOwnership

__all__ = ["PostgresWriter"]


class PostgresWriter:
    """Implements ``rco.store.contract.writer.Writer``. A shard's changes go to the flusher that its place in its
    pool says, so all that concerns one shard is committed in the order of adding."""

    def __init__(
        self,
        dsn: str,
        *,
        identity: Identity,
        ownership: NodeOwnership,
        sealer: Sealer,
        clock: Clock,
        options: PostgresOptions,
    ) -> None:
        self._listeners = Listeners()
        self._on_failure: list[Callable[[BaseException], None]] = []
        self._failed: BaseException | None = None
        self._stopping: asyncio.Future[None] | None = None
        self._begun = False
        self.flushers = [
            Flusher(
                index,
                dsn,
                identity=identity,
                ownership=ownership,
                sealer=sealer,
                clock=clock,
                options=options,
                listeners=self._listeners,
                on_end=self.fail,
            )
            for index in range(options.flushers)
        ]

    # -- adding ----------------------------------------------------------------------------------------------------

    def changes(self, shard: int) -> Changes:
        """See ``Writer.changes``. Raises what ended the writer when nothing more can be written."""
        return self.flushers[byte_of(shard) % len(self.flushers)].collector.changes()

    def watch(self, namespaces: frozenset[str]) -> None:
        """See ``Writer.watch``. Holds for what is prepared from now on."""
        for flusher in self.flushers:
            flusher.watched = namespaces

    def note(self, decision: Decision) -> None:
        """See ``Writer.note``. Silent when the writer has ended: nobody waits for it."""
        self.flushers[0].collector.note(decision)

    @property
    def backlog(self) -> int:
        return sum(flusher.collector.backlog for flusher in self.flushers)

    @property
    def notes_dropped(self) -> int:
        return sum(flusher.collector.notes_dropped for flusher in self.flushers)

    def on_flush(self, listener: Callable[[Flushed], None]) -> None:
        self._listeners.flush.append(listener)

    def on_failure(self, listener: Callable[[BaseException], None]) -> None:
        self._on_failure.append(listener)

    def conceal_with(self, conceal: Callable[[Changes], None]) -> None:
        for flusher in self.flushers:
            flusher.collector.conceal = conceal

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The keeper begins the flushers; by itself a writer has no name to write under."""
        if not self._begun:
            raise StoreError("The writer is started by its keeper.", cure="Call the keeper's start().")

    async def open(self) -> None:
        """Open the connections. Raises what ``is_passing`` judges."""
        await asyncio.gather(*(flusher.open() for flusher in self.flushers))

    async def close(self) -> None:
        """Close the connections of a writer whose keeper did not start."""
        for flusher in self.flushers:
            await flusher.close()

    async def begin(self) -> None:
        """Take batches."""
        self._begun = True
        await asyncio.gather(*(flusher.begin() for flusher in self.flushers))

    def probe(self, chain: str, doubt: Decision) -> None:
        """Commit ``doubt`` to this chain: if it does not stand where it was left, that is found out by it."""
        for flusher in self.flushers:
            if flusher.head[0] == chain and flusher.collector.ended is None:
                flusher.collector.changes().decisions.append(doubt)

    async def drained(self) -> None:
        """Wait until everything that was added before this call is committed, or lost."""
        waiting: list[asyncio.Future[None]] = []
        for flusher in self.flushers:
            if flusher.collector.ended is not None:
                continue
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            changes = flusher.collector.changes()
            changes.then.append((_set, (future,)))
            changes.lost.append(_setter(future))
            waiting.append(future)
        if waiting:
            await asyncio.wait(waiting)

    async def stop(self) -> None:
        """See ``Writer.stop``. May be called before the start, twice, and after a failure."""
        if not self._begun:
            return
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_future()
            await asyncio.gather(*(flusher.stop() for flusher in self.flushers))
            self._stopping.set_result(None)
        else:
            await asyncio.shield(self._stopping)

    def fail(self, error: BaseException) -> None:
        """Nothing more can be written by this process. Only the first call counts."""
        if self._failed is not None:
            return
        self._failed = error
        for flusher in self.flushers:
            flusher.collector.failed(None, error)
        for flusher in self.flushers:
            flusher.collector.tell_all([] if flusher is not self.flushers[0] else self._on_failure, error)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _setter(future: asyncio.Future[None]) -> Callable[[BaseException], None]:
    return lambda _: _set(future)
