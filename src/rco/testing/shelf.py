"""The object store of a simulated world: slow, away now and then, and with a memory of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from rco.errors import EvidenceBroken, ObjectsAway
from rco.kit.digest import digest
from rco.model.payload import NAME_BYTES, Reference
from rco.testing.plan import Plan

__all__ = ["Shelf", "ShelfDoor"]


class Shelf:
    """What all nodes of a world have kept, whoever died since."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

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
        self._shelf.held[name] = data
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf gave no answer")
        return Reference(name, digest(data), len(data), json)

    async def fetch(self, reference: Reference) -> bytes:
        await self._way()
        if self._away():
            raise ObjectsAway("the shelf is away")
        return self._shelf.fetched(reference)

    async def _way(self) -> None:
        await asyncio.sleep(self._plan.payload_s * self._random.random())

    def _away(self) -> bool:
        return not self._calm() and self._random.random() < self._plan.payload_away
