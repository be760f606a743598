"""A model writer of several lanes, as the writer of PostgreSQL has several connections.

Each has a transaction in flight and a chain of its own: what one lane committed is seen, and gone on from by another,
while the first still waits for its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.model.principal import Principal
from rco.store.contract.changes import Changes
from rco.store.contract.retaining import Removed
from rco.store.contract.writer import Flushed
from rco.store.pools import byte_of
from rco.testing.database import ModelDatabase
from rco.testing.link import Link
from rco.testing.store_writer import ModelWriter
from rco.testing.tables import Drop

__all__ = ["ModelLanes"]


class ModelLanes:
    """Implements ``rco.store.contract.writer.Writer``. A shard's changes go to the lane of its place in its pool;
    what is of no shard goes to the first one, which has the chain's plain name."""

    def __init__(self, database: ModelDatabase, link: Link, clock: Clock, node: str, chain: str, count: int) -> None:
        names = [chain, *(f"{chain}/{number}" for number in range(1, count))]
        self._lanes = [ModelWriter(database, link, clock, node, name) for name in names]
        self._first = self._lanes[0]

    # -- adding ----------------------------------------------------------------------------------------------------

    def changes(self, shard: int) -> Changes:
        return self._lanes[byte_of(shard) % len(self._lanes)].changes(shard)

    def watch(self, namespaces: frozenset[str]) -> None:
        self._first.watch(namespaces)

    def note(self, decision: Decision) -> None:
        self._first.note(decision)

    def principal(self, principal: Principal, token: bytes) -> asyncio.Future[bool]:
        """See ``ModelWriter.principal``."""
        return self._first.principal(principal, token)

    def drop(self, drop: Drop) -> asyncio.Future[Removed]:
        """See ``ModelWriter.drop``."""
        return self._first.drop(drop)

    @property
    def backlog(self) -> int:
        return sum(lane.backlog for lane in self._lanes)

    @property
    def notes_dropped(self) -> int:
        return self._first.notes_dropped

    def on_flush(self, listener: Callable[[Flushed], None]) -> None:
        for lane in self._lanes:
            lane.on_flush(listener)

    def on_failure(self, listener: Callable[[BaseException], None]) -> None:
        """Called for each lane that ends; the first one ends the node."""
        for lane in self._lanes:
            lane.on_failure(listener)

    def conceal_with(self, conceal: Callable[[Changes], None]) -> None:
        for lane in self._lanes:
            lane.conceal_with(conceal)

    # -- life ------------------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self._first.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        for lane in self._lanes:
            lane.epoch = epoch

    @property
    def fence(self) -> dict[int, int] | None:
        """The epochs to write under."""
        return self._first.fence

    @fence.setter
    def fence(self, owned: dict[int, int] | None) -> None:
        for lane in self._lanes:
            lane.fence = owned

    @property
    def head(self) -> tuple[int, bytes]:
        """The last link of the first lane that is known here."""
        return self._first.head

    @head.setter
    def head(self, head: tuple[int, bytes]) -> None:
        self._first.head = head

    @property
    def on_rewound(self) -> Callable[[], bool]:
        """Asked when the database lost commits of the first lane. What another lane lost ends the node."""
        return self._first.on_rewound

    @on_rewound.setter
    def on_rewound(self, asked: Callable[[], bool]) -> None:
        self._first.on_rewound = asked

    def rewound(self, found: tuple[int, bytes]) -> None:
        """See ``ModelWriter.rewound``."""
        self._first.rewound(found)

    async def start(self) -> None:
        await self._first.start()

    def begin(self) -> None:
        """Ready to write."""
        for lane in self._lanes:
            lane.begin()

    async def stop(self) -> None:
        for lane in self._lanes:
            await lane.stop()

    async def settled(self) -> None:
        """Wait until all that was added is committed, or can no longer be."""
        for lane in self._lanes:
            await lane.settled()
