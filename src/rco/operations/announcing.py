"""Announcing in the background: events of the service's own that must become known, whenever the store takes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from rco.errors import RcoError
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision
from rco.operations.announce import announce
from rco.operations.desk import Desk

__all__ = ["UNTOLD_MAX", "Announcing"]

AGAIN_S = 5.0
UNTOLD_MAX = 64


class Announcing:
    """Events of one type. Each is made durable with its decision as soon as the store takes it, as its being away may
    be what there is to tell of. Those that could not be made known yet are told in their order, the newest
    ``UNTOLD_MAX`` of them."""

    def __init__(self, desk: Callable[[], Desk], type: str) -> None:
        self._desk, self._type = desk, type
        self._untold: deque[tuple[dict[str, Any], Decision]] = deque(maxlen=UNTOLD_MAX)
        self._telling: asyncio.Task[None] | None = None

    def tell(self, data: dict[str, Any], decision: Decision) -> None:
        """Make it known, when it can be. Returns at once."""
        self._untold.append((data, decision))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell(), name=f"rco-announcing {self._type}")

    async def told(self) -> None:
        """Returns when nothing waits to be told."""
        if self._telling is not None:
            await self._telling

    async def stop(self) -> None:
        """What the store has not taken by now is not told. May be called twice."""
        await stop_task(self._telling)
        self._telling = None

    async def _tell(self) -> None:
        while self._untold:
            first = self._untold[0]
            try:
                await announce(self._desk(), self._type, *first)
            except RcoError:
                await asyncio.sleep(AGAIN_S)
            else:
                # Told a moment ago; it may have made room for newer ones meanwhile.
                if self._untold and self._untold[0] is first:
                    self._untold.popleft()
