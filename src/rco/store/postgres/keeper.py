"""The PostgreSQL keeper: one database, any number of nodes, each owning its share of the shards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rco.errors import StoreError
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.kit.lifecycle import stop_task
from rco.store.contract.news import Topic
from rco.store.contract.rewind import Rewind
from rco.store.contract.writer import Flushed, Sealer
from rco.store.postgres import migrate
from rco.store.postgres.connection import Line, patiently
from rco.store.postgres.evidence import doubt_decision
from rco.store.postgres.flusher import Identity
from rco.store.postgres.leases import Leases
from rco.store.postgres.mail import Mail
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.ownership import NodeOwnership
from rco.store.postgres.partitions import keep_ahead
from rco.store.postgres.reader import PostgresReader
from rco.store.postgres.retaining import PostgresRetaining
from rco.store.postgres.sweep import ClaimSweep
from rco.store.postgres.writer import PostgresWriter

__all__ = ["PostgresKeeper"]

_PARTITIONS_EVERY_S = 6 * 3600.0
_REWOUND = "SELECT rco_rewound($1, $2, $3, $4, $5, $6)"


class PostgresKeeper:
    """Implements ``rco.store.contract.keeper.Keeper`` on a PostgreSQL database (15 or newer).

    ``node`` is the name of this process, as it stands in the node table and in the names of its audit chains
    (``<node>/0`` and so on); no two processes may live under one name. A keeper lives once: after ``stop`` make
    another.
    """

    def __init__(
        self,
        dsn: str,
        *,
        clock: Clock,
        ids: Ids,
        sealer: Sealer,
        node: str,
        options: PostgresOptions | None = None,
    ) -> None:
        self._dsn, self._clock = dsn, clock
        self._options = options = options or PostgresOptions()
        self._identity = identity = Identity(node, ids.uuid7())
        self._ownership = ownership = NodeOwnership(clock)
        self._writer = PostgresWriter(
            dsn, identity=identity, ownership=ownership, sealer=sealer, clock=clock, options=options
        )
        self._reader = PostgresReader(dsn, clock=clock, options=options)
        self._retaining = PostgresRetaining(dsn, options, sealer)
        self._leases = Leases(
            dsn,
            identity=identity,
            ownership=ownership,
            clock=clock,
            options=options,
            drained=self._writer.drained,
            on_end=self._writer.fail,
        )
        self._reader.node = node
        self._reader.on_announced = self._leases.announced
        self._mail = Mail(dsn, identity=identity, ownership=ownership, options=options)
        self._mail.on_leases = self._leases.poke
        self._reader.changed = self._mail.changed
        self._leases.on_released = self._mail.released
        self._sweep, self._sweeping = ClaimSweep(), asyncio.Event()
        self._housekeeping = Line(dsn, options)
        self._tasks: list[asyncio.Task[None]] = []
        self._epoch = 0
        self._stopped = False
        self._rewound: list[Callable[[Rewind], None]] = []
        self._leases.heads = lambda: dict(flusher.head for flusher in self._writer.flushers)
        self._leases.on_behind = lambda chain: self._writer.probe(chain, doubt_decision(node, clock.now_us(), chain))
        self._leases.forgotten = self._forgotten
        self._writer.on_flush(self._flushed)
        for flusher in self._writer.flushers:
            flusher.on_rewound = self._note_rewind
            flusher.looks = self._leases
            flusher.on_unheard = self._mail.look
            flusher.on_claims = self._claimed

    @property
    def writer(self) -> PostgresWriter:
        return self._writer

    @property
    def reader(self) -> PostgresReader:
        return self._reader

    @property
    def retaining(self) -> PostgresRetaining:
        return self._retaining

    @property
    def ownership(self) -> NodeOwnership:
        return self._ownership

    def on_mail(self, listener: Callable[[bytes], None]) -> None:
        """See ``Keeper.on_mail``. A message is told at once where LISTEN works, else within ``options.poll_s``."""
        self._mail.on_mail(listener)

    def on_news(self, topic: Topic, listener: Callable[[], None]) -> bool:
        """See ``News.on_news``. The slow poll comes every ``options.poll_s``; it is the only one without LISTEN."""
        return self._mail.on_news(topic, listener)

    def on_rewound(self, listener: Callable[[Rewind], None]) -> None:
        """See ``Keeper.on_rewound``. Noticed by the next flush or heartbeat."""
        self._rewound.append(listener)

    @property
    def epoch(self) -> int:
        """How often a process has started under this node's name; 0 before the start. It stands in the links."""
        return self._epoch

    async def start(self) -> None:
        """Check the schema, take the node's name, and the shards that are free for it; begin to write and read.

        Shards of other living nodes come within two heartbeats. Raises ``StoreLocked`` naming the process that lives
        under this name, ``SchemaOutdated`` when migrations are missing or the schema is newer than the code,
        ``StoreError`` when the database cannot be used. After an error nothing is held.
        """
        if self._stopped:
            raise StoreError("This keeper was stopped.", cure="Make another.")
        try:
            await self._open()
            await self._leases.join(self._mail.is_gone)
            self._epoch = self._identity.epoch
            await self._reader.begin()
            await self._writer.begin()
        except BaseException:
            await self._leases.stop()
            await self._mail.stop()
            await self._reader.stop()
            await self._writer.close()
            await self._housekeeping.close()
            raise
        self._leases.begin()
        self._mail.begin()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._sweeps()), loop.create_task(self._weeks())]

    async def _open(self) -> None:
        """Check the schema, and meanwhile open the connections that will be needed: each takes the server a moment."""

        async def ready(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
            await patiently(work, self._clock, self._options, self._options.connect_timeout_s)

        others = [
            asyncio.ensure_future(ready(work)) for work in (self._mail.open, self._leases.open, self._writer.open)
        ]
        try:
            await ready(self._check)
            # Before the first row of this week; that of the next has time.
            await keep_ahead(self._housekeeping, self._clock.now_us(), weeks=1)
            await asyncio.gather(*others)
        finally:
            for one in others:
                one.cancel()
            # What else went wrong has been said by the first.
            await asyncio.gather(*others, return_exceptions=True)

    async def _check(self) -> None:
        try:
            await migrate.check(await self._housekeeping.open())
        except BaseException as error:
            self._housekeeping.broke(error)
            raise

    async def stop(self) -> None:
        """Let go of the shards, flush, give them back, end. May be called before the start and twice."""
        self._stopped = True
        for task in self._tasks:
            await stop_task(task)
        self._ownership.leave(frozenset(self._ownership.epochs))
        await self._writer.stop()
        await self._leases.stop()
        await self._mail.stop()
        await self._reader.stop()
        await self._housekeeping.close()

    async def _note_rewind(self, rewind: Rewind) -> None:
        values = (rewind.node, rewind.chain, rewind.at_us, rewind.known_n, rewind.found_n, list(rewind.shards))
        await patiently(lambda: self._housekeeping.fetch(_REWOUND, *values), self._clock, self._options, float("inf"))
        for listener in self._rewound:
            listener(rewind)

    async def _forgotten(self, behind: list[tuple[str, int, int]]) -> StoreError:
        """Put the shards aside as if each chain had found it out by itself; nothing can be written behind them under
        a name that the database does not know."""
        rewinds = [
            Rewind(
                chain=chain,
                node=self._identity.node,
                at_us=self._clock.now_us(),
                known_n=known_n,
                found_n=found_n,
                shards=tuple(sorted(self._ownership.epochs)),
            )
            for chain, known_n, found_n in behind
        ]
        for rewind in rewinds:
            await self._note_rewind(rewind)
        return StoreError(f"{rewinds[0].said}, and the node itself is forgotten.", cure=rewinds[0].cure)

    def _flushed(self, flushed: Flushed) -> None:
        if flushed.woken:
            self._mail.woke(flushed.woken)

    def _claimed(self, count: int) -> None:
        if self._sweep.given(count):
            self._sweeping.set()

    async def _sweeps(self) -> None:
        while True:
            await self._sweeping.wait()
            self._sweeping.clear()
            try:
                await self._sweep.sweep(self._housekeeping, self._clock.now_us())
            except Exception:  # noqa: BLE001 - the slice comes round again
                await asyncio.sleep(self._options.heartbeat_s)

    async def _weeks(self) -> None:
        # The new week's is there. Not in the first moments, which are for those who wait for this node.
        await asyncio.sleep(self._options.heartbeat_s)
        while True:
            try:
                await keep_ahead(self._housekeeping, self._clock.now_us())
            except Exception:  # noqa: BLE001 - there is a week's time to try again, and the rest takes what comes
                await asyncio.sleep(self._options.heartbeat_s)
            await asyncio.sleep(_PARTITIONS_EVERY_S)
