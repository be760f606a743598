"""Shards of pools: runs that are pinned to a version have 256 shards of their own.

So nodes that have different versions own runs side by side, each under leases as any other. Shards 0 to 255 are those
of all that is pinned to nothing; each version has the next 256 that were free when it was first announced. The shard of
a run in its pool is the last byte of its identity, as ever.
"""

from __future__ import annotations

from collections.abc import Iterable

from rco.model.run import SHARDS
from rco.model.version import is_pin
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.versions import Pins

__all__ = ["NOWHERE", "Pools", "byte_of"]

NOWHERE = -1
"""The shard of a run whose version has no pool that is known here. Nobody owns it."""


def byte_of(shard: int) -> int:
    """Where the shard is within its pool."""
    return shard % SHARDS


class Pools:
    """Which pool has which number, as it was last read from the database. Frozen: a new reading is a new one."""

    __slots__ = ("_bases", "pins")

    def __init__(self, pins: Iterable[str] = ()) -> None:
        """``pins`` in the order of the pools; the first has the shards 256 to 511."""
        self.pins = tuple(pins)
        self._bases = {pin: SHARDS * number for number, pin in enumerate(self.pins, 1)}

    def home(self, run_id: bytes, version: str) -> int:
        """The shard of a run; ``NOWHERE`` when its version has no pool that is known here."""
        if not is_pin(version):
            return run_id[15]
        base = self._bases.get(version)
        return NOWHERE if base is None else base + run_id[15]

    def base(self, version: str) -> int | None:
        """The first shard of the version's pool, 0 for what is pinned to nothing; ``None`` when there is no pool."""
        return self._bases.get(version) if is_pin(version) else 0

    def pin(self, shard: int) -> str:
        """What the runs of this shard are pinned to; empty: to nothing."""
        number = shard // SHARDS
        return "" if number == 0 or number > len(self.pins) else self.pins[number - 1]

    def all_of(self, byte: int) -> list[int]:
        """The shards of all pools that an identity with this last byte may be in."""
        return [byte, *(base + byte for base in self._bases.values())]

    def among(self, shards: Shards, pins: Pins | None) -> tuple[Shards, Pooled | None]:
        """What to ask a reader for: the shards of runs that are pinned to nothing, and of each pool in ``pins``
        (``None``: of each there is) its own."""
        free = frozenset(shard for shard in shards if shard < SHARDS)
        if pins is None and not self._bases:
            return free, None
        pool = {
            pin: frozenset(shard - base for shard in shards if base <= shard < base + SHARDS)
            for pin, base in self._bases.items()
            if pins is None or pin in pins
        }
        return free, {pin: own for pin, own in pool.items() if own}
