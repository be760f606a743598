"""The watch beside the sentinel: looks every second, and tells when a brownout begins or ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.bridge.brownout import Judged, Sentinel
from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task

__all__ = ["Watch"]

LOOK_EVERY_S = 1.0


class Watch:
    """Keeps the ``kit.lifecycle.Lives`` contract. ``queue_share`` says how full the work queue is; ``changed`` is
    called in this loop when a brownout begins or ends, and must be quick."""

    def __init__(
        self,
        sentinel: Sentinel,
        clock: Clock,
        queue_share: Callable[[], float],
        changed: Callable[[Judged], None],
        *,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._sentinel, self._clock = sentinel, clock
        self._queue_share, self._changed, self._every_s = queue_share, changed, every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._look_on())

    async def stop(self) -> None:
        await stop_task(self._task)
        self._task = None

    async def _look_on(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(self._every_s)

    def look(self) -> None:
        """Look once, now."""
        now_s = self._clock.monotonic()
        self._sentinel.filled(now_s, self._queue_share())
        judged = self._sentinel.look(now_s)
        if judged.changed:
            self._changed(judged)
