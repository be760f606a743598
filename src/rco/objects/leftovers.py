"""The collector: what a crash cut off in mid-upload takes no room for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.kit.lifecycle import stop_task
from rco.objects.contract import Objects

__all__ = ["Collector"]

EVERY_S = 60.0


class Collector:
    """Keeps the ``kit.lifecycle.Lives`` contract. Looks every minute; ``told`` hears how many were removed, ``trouble``
    of a place that gives no answer, which is asked again."""

    def __init__(
        self,
        objects: Objects,
        told: Callable[[int], None],
        trouble: Callable[[BaseException], None],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._objects, self._told, self._trouble, self._every_s = objects, told, trouble, every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._collect_on(), name="rco-collector")

    async def stop(self) -> None:
        await stop_task(self._task)
        self._task = None

    async def _collect_on(self) -> None:
        while True:
            try:
                count = await self._objects.collect()
            except Exception as problem:  # noqa: BLE001 - whatever it is, this goes on
                self._trouble(problem)
            else:
                if count:
                    self._told(count)
            await asyncio.sleep(self._every_s)
