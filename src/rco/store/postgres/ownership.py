"""Which shards this node owns, in memory. Pure: ``leases`` knows the database.

Shards from 256 on are those of pools, see ``rco.store.pools``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b

from rco.errors import Overloaded
from rco.kit.clock import Clock
from rco.model.run import SHARDS
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.versions import Pins
from rco.store.pools import Pools, byte_of

__all__ = ["NodeOwnership", "winner", "winners"]


@lru_cache(maxsize=256)
def winners(base: int, nodes: tuple[str, ...]) -> tuple[str | None, ...]:
    """The node that each shard of a pool belongs to; ``base`` is the first."""
    return tuple(winner(shard, nodes) for shard in range(base, base + SHARDS))


def winner(shard: int, nodes: Sequence[str]) -> str | None:
    """The node that a shard belongs to: the highest hash of (node, shard), so that a node that comes or goes moves only
    its own share (rendezvous hashing, Thaler and Ravishankar 1996)."""
    tail = b"/%d" % shard
    return max(nodes, key=lambda node: blake2b(node.encode() + tail, digest_size=8).digest(), default=None)


class NodeOwnership:
    """Implements ``rco.store.contract.ownership.Ownership``. All methods are called on one loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.epochs: dict[int, int] = {}
        """Epochs of the shards that may still be written, those that are leaving included."""
        self.since_us: dict[int, int] = {}
        """When each of them was taken over, by this node's clock."""
        self._owned: frozenset[int] = frozenset()
        self._ordered: dict[int, list[int]] = {}
        """The shards owned of each pool, by its first."""
        self.pools = Pools()
        """As they were at the last heartbeat."""
        self._act_until_s = 0.0
        self._gained: list[Callable[[Shards], None]] = []
        self._leaving: list[Callable[[Shards], None]] = []
        self._renewed: list[Callable[[], None]] = []
        self._lost: list[Callable[[Shards], None]] = []

    # -- asked by the engine ---------------------------------------------------------------------------------------

    @property
    def act_until_s(self) -> float:
        return self._act_until_s

    def shards(self) -> Shards | None:
        return self._owned

    def owns(self, shard: int) -> bool:
        return shard in self._owned

    def home(self, run_id: bytes, version: str) -> int:
        return self.pools.home(run_id, version)

    def touches(self, run_id: bytes) -> bool:
        owned = self._owned
        return any(shard in owned for shard in self.pools.all_of(run_id[15]))

    def covers(self, run_id: bytes) -> bool:
        owned = self._owned
        return all(shard in owned for shard in self.pools.all_of(run_id[15]))

    def among(self, shards: Shards | None, pins: Pins | None) -> tuple[Shards | None, Pooled | None]:
        return self.pools.among(self._owned if shards is None else shards, pins)

    def place(self, byte: int, version: str = "") -> int:
        base = self.pools.base(version)
        if base is None or base + byte in self._owned:
            return byte
        ordered = self._ordered.get(base)
        if ordered:
            return byte_of(ordered[byte * len(ordered) // SHARDS])
        if base:
            return byte
        raise Overloaded("This node owns no shard yet.", cure="Try again in a moment, or on another node.")

    def on_gained(self, listener: Callable[[Shards], None]) -> None:
        self._gained.append(listener)

    def on_leaving(self, listener: Callable[[Shards], None]) -> None:
        self._leaving.append(listener)

    def on_renewed(self, listener: Callable[[], None]) -> None:
        self._renewed.append(listener)

    def on_lost(self, listener: Callable[[Shards], None]) -> None:
        """Call ``listener`` when nothing may be written any more for shards, before they can come back."""
        self._lost.append(listener)

    # -- told by the leases ----------------------------------------------------------------------------------------

    def gain(self, epochs: dict[int, int]) -> None:
        """These shards were taken over."""
        self.epochs.update(epochs)
        self.since_us.update(dict.fromkeys(epochs, self._clock.now_us()))
        self._own(self._owned | epochs.keys())
        for listener in self._gained:
            listener(frozenset(epochs))

    def leave(self, shards: Shards) -> None:
        """These shards are about to be handed over: nothing new begins on them, what was appended may be flushed."""
        shards = shards & self._owned
        if shards:
            self._own(self._owned - shards)
            for listener in self._leaving:
                listener(shards)

    def lose(self, shards: Shards) -> None:
        """These shards are somebody else's."""
        self.leave(shards)
        for shard in shards:
            self.epochs.pop(shard, None)
            self.since_us.pop(shard, None)
        for listener in self._lost:
            listener(shards)

    def again(self, shards: Shards) -> None:
        """What memory holds of these shards never reached the store: let go of it, and load what is owned anew."""
        for listener in self._leaving:
            listener(shards)
        kept = shards & self._owned
        if kept:
            for listener in self._gained:
                listener(kept)

    def renew(self, until_s: float) -> None:
        """The lease counts until ``until_s`` on the monotonic clock."""
        had_passed = self._act_until_s <= self._clock.monotonic()
        self._act_until_s = max(self._act_until_s, until_s)
        if had_passed:
            for listener in self._renewed:
                listener()

    def _own(self, shards: frozenset[int]) -> None:
        self._owned = shards
        ordered: dict[int, list[int]] = {}
        for shard in sorted(shards):
            ordered.setdefault(shard - byte_of(shard), []).append(shard)
        self._ordered = ordered
