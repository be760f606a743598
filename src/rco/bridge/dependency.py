"""Something that the bridge cannot work without: asked at intervals whether it is there, within a time of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task
from rco.telemetry.metrics import Metrics
from rco.telemetry.signals import INTEROP_UPSTREAM

__all__ = ["Dependency"]


class Dependency:
    """One store, broker or service. Keeps the ``kit.lifecycle.Lives`` contract.

    ``probe`` returns when it is well and raises when it is not; one that takes longer than ``timeout_s`` counts as not
    well. ``told`` hears how long each took. ``well`` is for a readiness key: true until the first probe has failed, so
    that a service which has just started is not called unready for what it has not asked yet.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[object]],
        *,
        clock: Clock,
        metrics: Metrics,
        told: Callable[[float, float], None],
        timeout_s: float = 2.0,
        every_s: float = 5.0,
    ) -> None:
        self.name, self.well = name, True
        self.trouble = ""
        """The class of what went wrong at the last probe; empty when nothing did."""
        self._probe, self._clock, self._metrics, self._told = probe, clock, metrics, told
        self._timeout_s, self._every_s = timeout_s, every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._ask_on())

    async def stop(self) -> None:
        await stop_task(self._task)
        self._task = None

    async def ask(self) -> None:
        """Ask once, now. Raises only cancellation."""
        began = self._clock.monotonic()
        self.trouble = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._probe()
        except Exception as error:  # noqa: BLE001  (whatever it is, it is not well)
            self.trouble = type(error).__name__
        ended = self._clock.monotonic()
        self.well = not self.trouble
        self._told(ended, ended - began)
        outcome = "timeout" if self.trouble == "TimeoutError" else "error" if self.trouble else "ok"
        self._metrics.histogram(INTEROP_UPSTREAM, service=self.name, op="probe", outcome=outcome).observe(ended - began)

    async def _ask_on(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(self._every_s)
