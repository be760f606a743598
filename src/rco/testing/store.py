"""A model keeper: the contract of ``rco.store.contract`` in memory, for simulations and for users' tests.

Alone on its database it is the sole owner, as an embedded database has one. Among several it owns shards by leases.
What its link does to requests (nothing, or every trouble there is) is the link's affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision, Verb
from rco.store.contract.news import Topic
from rco.store.contract.ownership import Ownership, Shards, SoleOwner
from rco.store.contract.rewind import Rewind
from rco.testing.database import ModelDatabase
from rco.testing.leases import LeaseOptions, Leases
from rco.testing.link import ConnectionLost, DirectLink, Link, told
from rco.testing.retaining import ModelRetaining
from rco.testing.store_lanes import ModelLanes
from rco.testing.store_reader import ModelReader
from rco.testing.store_writer import ModelWriter

__all__ = ["ModelKeeper"]

MAIN_CHAIN = "main"
CONNECT_AGAIN_S = 0.2


class ModelKeeper:
    """Implements ``rco.store.contract.keeper.Keeper``.

    With ``leases`` it is one node of several, under the name ``node``, which no other incarnation may have, and can
    run what is pinned to ``pins``. Without, it is the sole owner. ``pid`` is the process that a second sole owner is
    told about. ``lanes``: how many transactions may be in flight at a time. A keeper lives once.
    """

    def __init__(
        self,
        database: ModelDatabase,
        *,
        clock: Clock,
        node: str,
        link: Link | None = None,
        leases: LeaseOptions | None = None,
        pid: int = 1,
        lanes: int = 1,
        pins: frozenset[str] = frozenset(),
    ) -> None:
        self._database, self._clock, self._node, self._pid = database, clock, node, pid
        self._link: Link = link or DirectLink()
        self._options = leases
        chain = MAIN_CHAIN if leases is None else node
        self._writer: ModelWriter | ModelLanes
        if lanes == 1:
            self._writer = ModelWriter(database, self._link, clock, node, chain)
        else:
            self._writer = ModelLanes(database, self._link, clock, node, chain, lanes)
        self._reader = ModelReader(database, self._link, self._writer, chain, clock)
        self._retaining = ModelRetaining(self._reader, self._writer)
        self._chain = chain
        self._leases: Leases | None = None
        if leases is not None:
            self._leases = Leases(
                database,
                self._link,
                clock,
                node,
                leases,
                self._writer.settled,
                self._set_fence,
                lambda: self._writer.head,
                self._writer.rewound,
                pins,
            )
            self._writer.on_rewound = self._rewound
        self._sole = SoleOwner()
        self._mail: list[Callable[[bytes], None]] = []
        self._poll: asyncio.Task[None] | None = None
        self._reload: asyncio.Task[None] | None = None
        self._locked = False
        self._rewinds: list[Callable[[Rewind], None]] = []

    @property
    def writer(self) -> ModelWriter | ModelLanes:
        return self._writer

    @property
    def reader(self) -> ModelReader:
        return self._reader

    @property
    def retaining(self) -> ModelRetaining:
        return self._retaining

    @property
    def ownership(self) -> Ownership:
        return self._leases or self._sole

    def on_mail(self, listener: Callable[[bytes], None]) -> None:
        self._mail.append(listener)
        self._link.ask(self._database.unread, self._unread)

    def _unread(self, runs: list[bytes] | None, error: BaseException | None) -> None:
        if error is not None:
            self._link.ask(self._database.unread, self._unread)
        else:
            self._mailed(runs or [])

    def on_news(self, topic: Topic, listener: Callable[[], None]) -> bool:
        """Never tells: whoever wants to know looks."""
        del topic, listener
        return False

    def on_rewound(self, listener: Callable[[Rewind], None]) -> None:
        self._rewinds.append(listener)

    @property
    def epoch(self) -> int:
        return self._writer.epoch

    async def start(self) -> None:
        """Take ownership. Raises ``StoreLocked`` when another sole owner holds the database."""
        database, writer = self._database, self._writer
        if self._leases is None or self._options is None:
            database.lock(self._pid)
            self._locked = True
            writer.epoch = await self._persist(lambda: database.own_all(self._node))
        else:
            ttl_s = self._options.ttl_s
            writer.epoch = await self._persist(lambda: database.boot(self._node, ttl_s))
        writer.head = await self._persist(lambda: database.tables.head(self._chain))
        writer.begin()
        self._reader.begin()
        if self._leases is not None and self._options is not None:
            await self._take_shards(self._leases)
            self._link.listen(self._node, self._mailed)
            self._poll = asyncio.get_running_loop().create_task(self._look(self._options.poll_s))

    async def stop(self) -> None:
        """Flush, hand everything over, end. May be called before the start and twice."""
        await stop_task(self._poll)
        await stop_task(self._reload)
        self._poll = self._reload = None
        await self._reader.stop()
        await self._writer.stop()
        if self._leases is not None:
            await self._leases.stop()
            # Not told, its lease runs out.
            with suppress(ConnectionLost):
                await told(self._link, lambda: self._database.leave(self._node))
        if self._locked:
            self._locked = False
            self._database.unlock()

    async def _persist(self, request: Callable[[], Any]) -> Any:
        """Ask until there is an answer: what is asked this way may be done twice."""
        while True:
            try:
                return await told(self._link, request)
            except ConnectionLost:
                await asyncio.sleep(CONNECT_AGAIN_S)

    async def _take_shards(self, leases: Leases) -> None:
        while True:
            try:
                await leases.start()
            except ConnectionLost:
                await asyncio.sleep(CONNECT_AGAIN_S)
            else:
                return

    def _set_fence(self, owned: dict[int, int]) -> None:
        self._writer.fence = owned

    # -- what other nodes wrote ------------------------------------------------------------------------------------

    def _mailed(self, runs: list[bytes]) -> None:
        for run_id in runs:
            for listener in self._mail:
                listener(run_id)

    async def _look(self, every_s: float) -> None:
        """The safety net under the notices that got lost."""
        while True:
            await asyncio.sleep(every_s)
            try:
                self._mailed(await told(self._link, lambda: self._database.mail(self._node)))
            except ConnectionLost:
                continue

    # -- a database that lost commits ------------------------------------------------------------------------------

    def _rewound(self) -> bool:
        """Let go of all runs, find out where the database stands, leave evidence, load them again."""
        assert self._leases is not None
        shards = self._leases.forget()
        before = self._writer.head[0]
        self._reload = asyncio.get_running_loop().create_task(self._go_on(self._leases, shards, before))
        return True

    async def _go_on(self, leases: Leases, shards: Shards, before: int) -> None:
        self._writer.head = await self._persist(lambda: self._database.tables.head(self._chain))
        self._writer.begin()
        self._writer.note(
            Decision(
                verb=Verb.RECONCILE,
                at_us=self._clock.now_us(),
                actor=f"node:{self._node}",
                allow=False,
                reason="history rewound",
                facts={"known": before, "found": self._writer.head[0]},
            )
        )
        rewind = Rewind(
            chain=self._chain,
            node=self._node,
            at_us=self._clock.now_us(),
            known_n=before,
            found_n=self._writer.head[0],
            shards=(),
        )
        for listener in self._rewinds:
            listener(rewind)
        leases.again(shards)
