"""An intake: takes what one source brings, and settles it when it is durable here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rco.brokers.contract import Incoming, Source
from rco.kit.backoff import Backoff
from rco.kit.lifecycle import stop_task

__all__ = ["Intake"]

WAIT_S = 2.0
_BACKOFF = Backoff(first_s=0.2, factor=2.0, cap_s=30.0)


class Intake:
    """Keeps the ``kit.lifecycle.Lives`` contract. ``deliver`` makes one message durable: accepted, a repeat, or a dead
    letter; it raises ``Overloaded`` or ``StoreError`` when that cannot be now, and the message is taken again. Whatever
    else fails is tried again too, a little later each time: also what only a person can mend, as a broker that refuses.

    ``settled`` hears how many are done with, ``trouble`` of what is tried again. Messages of one key are delivered one
    after the other, those of different keys side by side.
    """

    def __init__(
        self,
        name: str,
        join: Callable[[], Awaitable[Source]],
        deliver: Callable[[Incoming], Awaitable[None]],
        *,
        batch: int,
        settled: Callable[[int], None],
        random: Callable[[], float],
        trouble: Callable[[str, BaseException], None],
    ) -> None:
        self._name, self._join, self._deliver, self._batch = name, join, deliver, batch
        self._random, self._trouble = random, trouble
        self._source: Source | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = settled
        self._stopping = False

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"rco-intake {self._name}")

    async def stop(self) -> None:
        """What is being delivered may still be made durable; it comes again and is recognised."""
        # A library may lose the cancellation that came as its own wait ended.
        self._stopping = True
        await stop_task(self._task)
        source, self._source = self._source, None
        if source is not None:
            await source.stop()

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            try:
                if self._source is None:
                    self._source = await self._join()
                taken = await self._source.take(self._batch, WAIT_S)
                if taken:
                    await self._settle(self._source, taken)
            except Exception as problem:  # noqa: BLE001 - an intake that ends takes nothing and tells nobody
                failures += 1
                self._trouble(self._name, problem)
                await asyncio.sleep(_BACKOFF.delay_s(failures, self._random))
            else:
                failures = 0

    async def _settle(self, source: Source, taken: list[Incoming]) -> None:
        lines: dict[str, list[Incoming]] = {}
        for one in taken:
            # Without a key there is no order to keep.
            lines.setdefault(one.key or one.place, []).append(one)
        problems = await asyncio.gather(*(self._line(line) for line in lines.values()), return_exceptions=True)
        failed = next((problem for problem in problems if problem is not None), None)
        if failed is not None:
            # All of it comes again, in its order: what is durable already is recognised.
            await source.give_back(taken)
            raise failed
        await source.settle(taken)
        self._settled(len(taken))

    async def _line(self, line: list[Incoming]) -> None:
        for one in line:
            await self._deliver(one)
