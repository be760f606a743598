"""Where the objects of a simulated world are kept: slow, away now and then, and there whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from rco.errors import ObjectsAway
from rco.objects.contract import Found, Seen
from rco.testing.plan import Plan

__all__ = ["Depot", "DepotDoor"]

Depot = dict[str, bytes]
"""What all nodes of a world have put, by key."""


class DepotDoor:
    """One node's way there. Of ``rco.objects.contract.Objects`` what small content needs."""

    place = "a depot"

    def __init__(self, depot: Depot, plan: Plan, random: Random, calm: Callable[[], bool]) -> None:
        self._depot, self._plan, self._random, self._calm = depot, plan, random, calm

    async def put(self, key: str, data: bytes) -> None:
        await self.put_all([(key, data)])

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        """One after the other; when it goes away, or who asks dies, some are there and the others are not."""
        for key, data in objects:
            await self._way()
            self._depot[key] = data
        # All of it may be there, and the answer lost.
        await self._way()

    async def open(self, key: str) -> Found | None:
        await self._way()
        data = self._depot.get(key)
        return None if data is None else Found(Seen(key, len(data), 0), data)

    async def _way(self) -> None:
        await asyncio.sleep(self._plan.put_s * self._random.random())
        if not self._calm() and self._random.random() < self._plan.put_away:
            raise ObjectsAway("the depot is away")
