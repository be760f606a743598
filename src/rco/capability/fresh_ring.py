"""A ring of one key that is made with the process and never leaves it: nothing minted before is good."""

from __future__ import annotations

from rco.capability.keyring import Keyring, Written, ring_of, ring_text
from rco.kit.clock import Clock, iso
from rco.kit.ids import Ids

__all__ = ["FreshRing"]


class FreshRing:
    """Reads as ``rco.capability.source.Load`` does: the same ring at each call."""

    __slots__ = ("_ring",)

    def __init__(self, clock: Clock, ids: Ids) -> None:
        now = iso(clock.now_us())
        key = Written(kid="k1", version=1, secret=ids.token(32), created_at=now, mint_from=now)
        self._ring = ring_of(ring_text([key]), "memory")

    def __call__(self) -> Keyring:
        return self._ring
