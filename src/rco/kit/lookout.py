"""The lookout: looks again and again, rarely where somebody says when there is something to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from rco.kit.lifecycle import stop_task

__all__ = ["SLOW_S", "Hear", "Lookout", "deaf"]

SLOW_S = 30.0
"""Between two looks where changes are told: the net under a net."""
_GAP_S = 0.02
"""However often it is told, it does not look more often than that."""

Hear = Callable[[Callable[[], None]], bool]
"""Given what to call when something may have changed; whether it will be called soon after every change."""


def deaf(_: Callable[[], None]) -> bool:
    """Nobody tells."""
    return False


class Lookout:
    """Calls ``look`` every ``beat_s``; where ``hear`` promises to tell of changes, when it does, and every ``SLOW_S``.

    Keeps the ``kit.lifecycle.Lives`` contract. ``trouble`` is told what ``look`` raises, and ``TimeoutError`` when it
    takes longer than ``within_s``; the next look comes all the same.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[object]],
        *,
        beat_s: float,
        trouble: Callable[[BaseException], None],
        hear: Hear = deaf,
        within_s: float | None = None,
        name: str | None = None,
    ) -> None:
        self._look, self._beat_s, self._trouble = look, beat_s, trouble
        self._hear, self._within_s, self._name = hear, within_s, name
        self._poke = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it has looked once. Raises what ``look`` raises."""
        # Heard first and looked second: a change in between is not missed.
        every_s = SLOW_S if self._hear(self.poke) else self._beat_s
        await self._look()
        self._task = asyncio.get_running_loop().create_task(self._looking(every_s), name=self._name)

    async def stop(self) -> None:
        task, self._task = self._task, None
        await stop_task(task)

    def poke(self) -> None:
        """Something may have changed: look soon."""
        self._poke.set()

    async def _looking(self, every_s: float) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._poke.wait()
            self._poke.clear()
            try:
                async with asyncio.timeout(self._within_s):
                    await self._look()
            except Exception as problem:  # noqa: BLE001 - what was known stays in force; the next look comes
                self._trouble(problem)
                # What it was told of is still to be seen.
                await asyncio.sleep(self._beat_s)
                self._poke.set()
            await asyncio.sleep(_GAP_S)
