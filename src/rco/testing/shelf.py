"""The object store of a simulated world: slow, away now and then, and with a memory of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from rco.errors import EvidenceBroken, ObjectsAway
from rco.kit.clock import MICROS
from rco.kit.digest import digest
from rco.model.payload import NAME_BYTES, Reference
from rco.objects.contract import Seen
from rco.payloads.keeping import key_of, name_of
from rco.testing.clocks import EPOCH_US, WorldTime
from rco.testing.plan import Plan

__all__ = ["SPACE", "Shelf", "ShelfDoor"]

SPACE = "0" * 16
"""What the payloads of the model database stand under."""


class Shelf:
    """What all nodes of a world have kept, whoever died since."""

    def __init__(self, world: WorldTime) -> None:
        self._world = world
        self.held: dict[bytes, bytes] = {}
        self.put_us: dict[bytes, int] = {}
        """When each was put, by the shelf's own clock, which is the world's."""
        self.removed: dict[bytes, bytes] = {}
        """What was there once, for who looks at the world as a whole."""
        self.on_removed: Callable[[bytes], None] = _unseen
        """Told of what is removed, just before."""

    def put(self, name: bytes, data: bytes) -> None:
        self.held[name] = data
        self.put_us[name] = EPOCH_US + round(self._world.now_s * MICROS)

    def remove(self, name: bytes) -> bool:
        """Whether it was there."""
        if name not in self.held:
            return False
        self.on_removed(name)
        self.removed[name] = self.held.pop(name)
        return True

    def fetched(self, reference: Reference) -> bytes:
        """What is kept. Raises ``EvidenceBroken`` when that is not what ``reference`` says."""
        data = self.held.get(reference.name)
        if data is None or digest(data) != reference.digest:
            raise EvidenceBroken(f"payload {reference.name.hex()} is not what was put")
        return data


class ShelfDoor:
    """One node's way to the shelf. Stands for ``rco.payloads.keeping.PayloadStore``."""

    def __init__(self, shelf: Shelf, plan: Plan, random: Random, calm: Callable[[], bool]) -> None:
        self._shelf, self._plan, self._random, self._calm = shelf, plan, random, calm

    @property
    def over_bytes(self) -> int:
        return self._plan.payload_over_bytes

    async def keep(self, namespace: str, data: bytes, *, json: bool = False) -> Reference:  # noqa: ARG002 - one for all
        """The object may be there and the answer lost, as with any other server."""
        await self._way()
        name = self._random.randbytes(NAME_BYTES)
        if self._away():
            raise ObjectsAway("the shelf is away")
        self._shelf.put(name, data)
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf gave no answer")
        return Reference(name, digest(data), len(data), json)

    async def fetch(self, reference: Reference) -> bytes:
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf is away")
        return self._shelf.fetched(reference)

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        """What is kept, by key, as a bucket lists it."""
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf is away")
        held = sorted((key_of(SPACE, name), name) for name in self._shelf.held)
        page = [(key, name) for key, name in held if key.startswith(prefix) and key > after][:limit]
        return [Seen(key, len(self._shelf.held[name]), self._shelf.put_us[name]) for key, name in page]

    async def delete(self, key: str) -> bool:
        """Take it off; the answer may be lost, as with any other server."""
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf is away")
        there = self._shelf.remove(name_of(key) or b"")
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf gave no answer")
        return there

    async def _way(self) -> None:
        await asyncio.sleep(self._plan.payload_s * self._random.random())

    def _away(self) -> bool:
        return not self._calm() and self._random.random() < self._plan.payload_away


def _unseen(_: bytes) -> None:
    """Until somebody watches."""
