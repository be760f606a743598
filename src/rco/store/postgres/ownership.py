"""Which shards this node owns, in memory. Pure: ``leases`` knows the database."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from rco.errors import Overloaded
from rco.kit.clock import Clock
from rco.model.run import SHARDS
from rco.store.contract.ownership import Shards

__all__ = ["NodeOwnership", "winner"]


def winner(shard: int, nodes: list[str]) -> str | None:
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
        self._ordered: list[int] = []
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

    def place(self, byte: int) -> int:
        if byte in self._owned:
            return byte
        if not self._ordered:
            raise Overloaded("This node owns no shard yet.", cure="Try again in a moment, or on another node.")
        return self._ordered[byte * len(self._ordered) // SHARDS]

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
        self._ordered = sorted(shards)
