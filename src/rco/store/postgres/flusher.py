"""One connection that commits: batch after batch of the shards that belong to it, each one link of its own chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from rco.errors import Fenced, StoreError
from rco.kit.clock import Clock
from rco.model.run import SHARDS
from rco.store.collector import Batch, Collector, Committed, Listeners
from rco.store.contract.rewind import Rewind
from rco.store.contract.writer import Flushed, Sealer
from rco.store.judge import Held
from rco.store.pools import byte_of
from rco.store.postgres.admit import look_up, may_hope
from rco.store.postgres.connection import Connection, Line, answering_within, fetch, is_passing, state_of
from rco.store.postgres.evidence import rewound_decision
from rco.store.postgres.flush import Chain, Prepared, ShardsLost, prepare
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.ownership import NodeOwnership

__all__ = ["Flusher", "Identity", "Looks"]

_FENCED, _CHANGED, _REWOUND = "RC001", "RC002", "RC003"
_HEAD = "SELECT n, hash FROM seal WHERE chain = $1 ORDER BY n DESC LIMIT 1"
_GENESIS = bytes(32)
_PATIENT_WITH_CHANGES = 1000
_CAREFUL = 64
"""Batches that are looked up before they are sent, after one that met what it had not expected."""


class Identity:
    """Who this process is in the database. ``epoch`` counts the starts under the name; 0 before the start."""

    __slots__ = ("boot_id", "epoch", "node")

    def __init__(self, node: str, boot_id: bytes) -> None:
        self.node, self.boot_id, self.epoch = node, boot_id, 0


class _Behind(Exception):
    """The chain ends at a link that this node had written others behind."""

    def __init__(self, n: int, hash: bytes) -> None:
        super().__init__(n)
        self.n, self.hash = n, hash


class Looks(Protocol):
    """Finds out what this node still owns."""

    async def look(self) -> None:
        """Brings the ownership up to date. Raises ``Fenced`` when the node's name is taken."""
        ...


class Flusher:
    """Commits what its collector collects. ``on_end`` is called once, with what made it impossible to go on."""

    def __init__(
        self,
        index: int,
        dsn: str,
        *,
        identity: Identity,
        ownership: NodeOwnership,
        sealer: Sealer,
        clock: Clock,
        options: PostgresOptions,
        listeners: Listeners,
        on_end: Callable[[BaseException], None],
    ) -> None:
        self._identity, self._ownership = identity, ownership
        self._sealer, self._clock, self._options, self._on_end = sealer, clock, options, on_end
        self._chain = Chain(f"{identity.node}/{index}", 0, _GENESIS)
        self._index = index
        self._queue: asyncio.Queue[Batch | None] = asyncio.Queue()
        # A connection that has fallen silent is given up after the time of a lease; the same is sent again on another,
        # and recognised if it stands.
        self._line = Line(dsn, answering_within(options, options.ttl_s))
        self._tried: dict[bytes, Prepared] = {}
        """What was sent as the next link and may have been committed, by the link's hash."""
        self._careful = 0
        """So many batches more are looked up first."""
        self._told: dict[int, int] = {}
        """Epochs of the shards that the chain names."""
        self._lost_in_flight: set[int] = set()
        """Shards that were lost since the batch in flight was begun to be collected: what it holds of theirs is from
        before, also when they have come back under another epoch."""
        self._lost_collecting: set[int] = set()
        """The same of the batch being collected."""
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.watched: frozenset[str] = frozenset()
        """Namespaces whose quotas are asked."""
        self.looks: Looks | None = None
        self.on_unheard: Callable[[], None] = _nothing
        """Called when a commit stands whose woken runs are not known."""
        self.on_claims: Callable[[int], None] = _count_nothing
        """Told how many claims a commit gave."""
        self.on_rewound: Callable[[Rewind], Awaitable[None]] = _nobody
        """Called when the chain stands behind what this node wrote, before anything is let go of."""
        self.collector = Collector(self._take, listeners, options.notes_limit)
        ownership.on_lost(self._shards_lost)

    @property
    def head(self) -> tuple[str, int]:
        """The chain's name, and its last link that this node knows of."""
        return self._chain.name, self._chain.n

    async def open(self) -> None:
        """Open the connection. Raises what ``is_passing`` judges."""
        await self._line.open()

    async def close(self) -> None:
        """Close the connection of a flusher that has not begun."""
        await self._line.close()

    async def begin(self) -> None:
        """Read where the chain stands and take batches."""
        found = await self._line.fetch(_HEAD, self._chain.name)
        if found:
            self._chain.n, self._chain.prev = found[0]
        self.collector.begin()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"rco-flusher {self._chain.name}")

    async def stop(self) -> None:
        """Flush what is there, then end."""
        if self._task is None:
            return
        self._hurry.set()
        self.collector.close(StoreError("The writer has stopped.", cure="Start the service again."))
        await self.collector.idle()
        self._queue.put_nowait(None)
        await asyncio.wait([self._task])
        await self._line.close()

    def _take(self, batch: Batch) -> None:
        self._lost_in_flight, self._lost_collecting = self._lost_collecting, set()
        self._queue.put_nowait(batch)

    def _shards_lost(self, shards: frozenset[int]) -> None:
        self._lost_in_flight |= shards
        if self.collector.collects:
            self._lost_collecting |= shards

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        collector = self.collector
        while (batch := await self._queue.get()) is not None:
            try:
                committed = await self._commit(batch)
            except ShardsLost as lost:
                await self._drop(batch, lost)
            except _Behind as behind:
                await self._rewound(batch, behind)
            except Exception as error:  # noqa: BLE001 - it is handed to the writer, which stops the node
                self._on_end(_permanent(error))
                return
            else:
                if not collector.holds(batch):
                    # The node was ended meanwhile; who waited was told so.
                    return
                if collector.is_split:
                    await collector.joined(batch, committed)
                    continue
                collector.advance()
                if self._queue.empty():
                    collector.tell(batch, committed)
                else:
                    # The next one leaves in this turn of the loop, and the server works while the callbacks run.
                    loop.call_soon(collector.tell, batch, committed)

    async def _drop(self, batch: Batch, lost: ShardsLost) -> None:
        """Shards of this batch are somebody else's. A transaction is whole or not at all, so all of it goes, and what
        memory holds of this flusher's shards with it; what is still owned is loaded anew."""
        error = Fenced(f"A shard was taken over by another node: {lost}.", cure="Send it again.")
        assert self.looks is not None
        try:
            await self.looks.look()
        except Exception as why:  # noqa: BLE001 - likewise
            self._on_end(_permanent(why))
            return
        self._lost_collecting = set()
        self.collector.dropped(batch, error)
        self._ownership.again(self._mine())

    def _mine(self) -> frozenset[int]:
        """The shards that this one writes for, owned or not. Whatever its pool, a run is written by one flusher: what
        it moves between pools, or opens in another, is in the same order."""
        count = SHARDS * (1 + len(self._ownership.pools.pins))
        return frozenset(one for one in range(count) if byte_of(one) % self._options.flushers == self._index)

    # -- one transaction -------------------------------------------------------------------------------------------

    async def _commit(self, batch: Batch) -> Committed:
        began = self._clock.monotonic()
        self._tried = {}
        prepared: Prepared | None = None
        failing_since, attempt, changed = 0.0, 0, 0
        while True:
            try:
                connection = await self._line.open()
                if prepared is None:
                    prepared = await self._prepare(connection, batch)
                    self._tried[prepared.seal.hash] = prepared
                rows = await fetch(connection, self._options, prepared.statement, prepared.arguments)
            except Exception as error:
                state = state_of(error)
                if state == _FENCED:
                    raise ShardsLost(str(error)) from error
                if state == _CHANGED and changed < _PATIENT_WITH_CHANGES:
                    changed += 1
                    prepared, self._careful = None, _CAREFUL
                    continue
                if state == _REWOUND:
                    prepared = await self._found(error)
                    return self._landed(prepared, None, began)
                if isinstance(error, ShardsLost):
                    raise
                self._line.broke(error)
                now = self._clock.monotonic()
                failing_since = failing_since if attempt else now
                attempt += 1
                options = self._options
                patience_s = options.give_up_at_stop_s if self._hurry.is_set() else options.give_up_after_s
                if not is_passing(error) or now - failing_since > patience_s:
                    raise
                await self._pause(options.backoff.delay_s(attempt, _no_jitter))
            else:
                return self._landed(prepared, rows[0][0], began)

    async def _prepare(self, connection: Connection, batch: Batch) -> Prepared:
        changes = batch.changes
        held = Held({}, {}, set())
        if changes.admissions and not (self._careful == 0 and may_hope(changes, self.watched)):
            held = await look_up(connection, self._options, changes, self._clock.now_us(), self.watched)
            self._careful = _CAREFUL if held.claims or held.keys else max(0, self._careful - 1)
        identity, epochs = self._identity, self._ownership.epochs
        if self._lost_in_flight:
            epochs = {shard: epoch for shard, epoch in epochs.items() if shard not in self._lost_in_flight}
        return prepare(
            batch,
            held,
            chain=self._chain,
            node=identity.node,
            boot_id=identity.boot_id,
            epoch=identity.epoch,
            epochs=epochs,
            since_us=self._ownership.since_us,
            told=self._told,
            sealer=self._sealer,
            clock=self._clock,
            watched=self.watched,
            pools=self._ownership.pools,
        )

    async def _found(self, error: Exception) -> Prepared:
        """The chain does not stand where it was left. One of our own attempts may have landed after all."""
        rows = await self._line.fetch(_HEAD, self._chain.name)
        tried = self._tried.get(rows[0][1]) if rows else None
        if tried is None:
            raise _Behind(*(rows[0] if rows else (0, _GENESIS))) from error
        return tried

    async def _rewound(self, batch: Batch, behind: _Behind) -> None:
        """Commits are gone that this node was told of. What memory holds of this chain's shards followed from them, so
        it is let go of, and the shards are put aside for somebody to look; the chain goes on behind what is there."""
        rewind = Rewind(
            chain=self._chain.name,
            node=self._identity.node,
            at_us=self._clock.now_us(),
            known_n=self._chain.n,
            found_n=behind.n,
            shards=tuple(sorted(self._mine() & self._ownership.epochs.keys())),
        )
        try:
            await self.on_rewound(rewind)
        except Exception as why:  # noqa: BLE001 - likewise
            self._on_end(_permanent(why))
            return
        self._chain.n, self._chain.prev, self._told = behind.n, behind.hash, {}
        self._ownership.lose(frozenset(rewind.shards))
        self.collector.dropped(batch, StoreError(f"{rewind.said}.", cure=rewind.cure))
        self.collector.changes().decisions.append(rewound_decision(rewind))

    def _landed(self, prepared: Prepared, woken: list[bytes] | None, began: float) -> Committed:
        seal = prepared.seal
        self._chain.n, self._chain.prev = seal.n, seal.hash
        self._told.update(prepared.leases)
        if woken is None:
            self.on_unheard()
        if prepared.claims:
            self.on_claims(prepared.claims)
        took_s = self._clock.monotonic() - began
        flushed = Flushed(
            seal.n,
            prepared.records,
            prepared.size_bytes,
            took_s,
            (*dict.fromkeys(woken or ()), *prepared.pokes),
            prepared.decisions,
        )
        return Committed(prepared.admitted, [], flushed)

    async def _pause(self, delay_s: float) -> None:
        """A stop ends the wait at once; from then on the event is set for good."""
        if self._hurry.is_set():
            await asyncio.sleep(delay_s)
            return
        try:
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()
        except TimeoutError:
            pass


def _permanent(error: BaseException) -> BaseException:
    if isinstance(error, StoreError):
        return error
    failed = StoreError(
        f"The database can no longer be written: {type(error).__name__}: {error}.",
        cure="Look at the server and its log, then start again.",
    )
    failed.__cause__ = error
    return failed


def _no_jitter() -> float:
    return 0.0


async def _nobody(rewind: Rewind) -> None:
    """Nobody is told."""
    del rewind


def _nothing() -> None:
    """Nobody looks."""


def _count_nothing(_: int) -> None:
    """Nobody counts."""
