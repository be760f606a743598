"""Reads that may not be given up: what waits for them would wait for ever, and nobody would know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rco.kit.backoff import Backoff

__all__ = ["Insisting"]

T = TypeVar("T")
_BACKOFF = Backoff(first_s=0.05, cap_s=2.0, jitter=0.0)


class Insisting:
    """Asks again, ever less often, until there is an answer or ``end`` was called."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended = False
        self.failed = 0
        """How many attempts have failed, for the metrics."""

    def end(self) -> None:
        """From now on what fails is raised: nobody waits for it any more."""
        self._ended = True

    async def pause(self, attempt: int) -> bool:
        """Wait as after so many failed attempts; false when nobody waits for it any more."""
        if not self._ended:
            await asyncio.sleep(_BACKOFF.delay_s(attempt, lambda: 0.0))
        return not self._ended

    async def ask(
        self,
        what: str,
        work: Callable[[], Awaitable[T]],
        *,
        passing: type[Exception] = Exception,
        wanted: Callable[[], bool] = lambda: True,
    ) -> T:
        """What ``work`` gives in the end. Each failure is counted and told to the loop's exception handler, which logs
        it under ``what``. Raises what is not ``passing``, and anything once nobody has ``wanted`` it any more."""
        attempt = 0
        while True:
            try:
                return await work()
            except passing as problem:
                if self._ended or not wanted():
                    raise
                attempt += 1
                self.failed += 1
                self._loop.call_exception_handler(
                    {"message": f"{what} failed and is tried again.", "exception": problem}
                )
            await asyncio.sleep(_BACKOFF.delay_s(attempt, lambda: 0.0))
