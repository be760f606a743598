"""Ownership of shards by leases, for a model keeper among several: heartbeats, take-over, hand-over, margin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from rco.errors import Overloaded
from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.versions import Pins
from rco.store.pools import byte_of
from rco.testing.database import Beat, ModelDatabase
from rco.testing.link import ConnectionLost, Link, told

__all__ = ["LeaseOptions", "Leases"]


class LeaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Times of the leases. A node acts until ``ttl_s - margin_s`` after it asked for its last heartbeat."""

    ttl_s: float = 8.0
    beat_s: float = 2.0
    margin_s: float = 1.0
    poll_s: float = 0.5


class Leases:
    """Implements ``rco.store.contract.ownership.Ownership`` for one node."""

    def __init__(
        self,
        database: ModelDatabase,
        link: Link,
        clock: Clock,
        node: str,
        options: LeaseOptions,
        flushed: Callable[[], Awaitable[None]],
        fence: Callable[[dict[int, int]], None],
        head: Callable[[], tuple[int, bytes]],
        rewound: Callable[[tuple[int, bytes]], None],
        pins: frozenset[str] = frozenset(),
    ) -> None:
        """``flushed`` waits until all that was appended is committed; ``fence`` is told the epochs to write under;
        ``head`` is the last link known here, and ``rewound`` is told when the database does not know it; ``pins`` are
        those that this node can run."""
        self._database, self._link, self._clock, self._node = database, link, clock, node
        self._options, self._flushed, self._fence = options, flushed, fence
        self._head, self._rewound = head, rewound
        self.act_until_s = -1.0
        self._owned: dict[int, int] = {}
        self._leaving: Shards = frozenset()
        self._sorted: dict[int, list[int]] = {}
        self._pins = pins
        self._pools = database.tables.of_pools
        self._gained: list[Callable[[Shards], None]] = []
        self._left: list[Callable[[Shards], None]] = []
        self._renewed: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    # -- what the contract asks ------------------------------------------------------------------------------------

    def shards(self) -> Shards | None:
        return frozenset(self._owned) - self._leaving

    def owns(self, shard: int) -> bool:
        return shard in self._owned and shard not in self._leaving

    def home(self, run_id: bytes, version: str) -> int:
        return self._pools.home(run_id, version)

    def touches(self, run_id: bytes) -> bool:
        return any(self.owns(shard) for shard in self._pools.all_of(run_id[15]))

    def covers(self, run_id: bytes) -> bool:
        return all(self.owns(shard) for shard in self._pools.all_of(run_id[15]))

    def among(self, shards: Shards | None, pins: Pins | None) -> tuple[Shards | None, Pooled | None]:
        return self._pools.among(frozenset(self._owned) - self._leaving if shards is None else shards, pins)

    def place(self, byte: int, version: str = "") -> int:
        base = self._pools.base(version)
        if base is None or self.owns(base + byte):
            return byte
        ordered = self._sorted.get(base)
        if ordered:
            return byte_of(ordered[byte % len(ordered)])
        if base:
            return byte
        raise Overloaded("This node owns no shards yet.", cure="Ask another node, or wait.")

    def on_gained(self, listener: Callable[[Shards], None]) -> None:
        self._gained.append(listener)

    def on_leaving(self, listener: Callable[[Shards], None]) -> None:
        self._left.append(listener)

    def on_renewed(self, listener: Callable[[], None]) -> None:
        self._renewed.append(listener)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take what is free, then keep it alive."""
        await self._beat()
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        await stop_task(self._task)
        self._task = None

    def forget(self) -> Shards:
        """Let go of all runs at once, as after a database that lost commits. Returns the shards still owned."""
        owned = frozenset(self._owned)
        self._tell(self._left, owned)
        return owned

    def again(self, shards: Shards) -> None:
        """Load the runs of ``shards`` anew, those too that somebody waked while nothing could be written."""
        kept = shards & frozenset(self._owned)
        self._tell(self._left, kept)
        self._tell(self._gained, kept)

    def _tell(self, listeners: list[Callable[[Shards], None]], shards: Shards) -> None:
        if shards:
            for listener in listeners:
                listener(shards)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._options.beat_s)
            try:
                await self._beat()
            except ConnectionLost:
                continue

    async def _beat(self) -> None:
        options = self._options
        asked_s, known = self._clock.monotonic(), self._head()
        beat: Beat = await told(
            self._link, lambda: self._database.beat(self._node, self._node, options.ttl_s, self._pins)
        )
        if beat.head[0] < known[0]:
            # An idle node would never learn it from its commits.
            self._rewound(beat.head)
        lost = frozenset(self._owned) - frozenset(beat.owned)
        # Lost and taken again between two heartbeats, under another epoch: what memory holds of it is old.
        lost |= {shard for shard, epoch in beat.owned.items() if self._owned.get(shard, epoch) != epoch}
        gained = frozenset(beat.owned) - frozenset(self._owned) | (lost & frozenset(beat.owned))
        if lost:
            self._own({shard: epoch for shard, epoch in self._owned.items() if shard not in lost})
            self._tell(self._left, lost)
        passed = self._clock.monotonic() >= self.act_until_s
        self.act_until_s = asked_s + options.ttl_s - options.margin_s
        self._own(dict(beat.owned))
        if passed:
            for listener in self._renewed:
                listener()
        self._tell(self._gained, gained)
        if beat.leave:
            await self._hand_over(beat.leave)

    async def _hand_over(self, shards: Shards) -> None:
        """Another node should have ``shards``: let go, flush, release."""
        self._leaving = shards
        self._own(self._owned)
        self._tell(self._left, shards)
        try:
            await self._flushed()
            await told(self._link, lambda: self._database.release(self._node, shards))
        except ConnectionLost:
            # Released or not, the next heartbeat tells; the runs were let go of, so they must be loaded again.
            self._owned = {shard: epoch for shard, epoch in self._owned.items() if shard not in shards}
        else:
            self._owned = {shard: epoch for shard, epoch in self._owned.items() if shard not in shards}
        finally:
            self._leaving = frozenset()
            self._own(self._owned)

    def _own(self, owned: dict[int, int]) -> None:
        self._owned = owned
        self._sorted = {}
        for shard in sorted(set(owned) - self._leaving):
            self._sorted.setdefault(shard - byte_of(shard), []).append(shard)
        self._fence(dict(owned))
