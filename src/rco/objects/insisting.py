"""Reads that are tried again: what gives no answer once may well give one in a moment, and a read may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rco.errors import StoreError
from rco.kit.backoff import Backoff
from rco.kit.clock import Clock
from rco.objects.contract import Found, Intake, Objects, Seen, Spool

__all__ = ["Insisting"]

T = TypeVar("T")
RETRIES = 3
QUICK_S = 1.0
"""What failed only after longer is not asked again: whoever waits has waited enough, and a bucket insists by itself."""
_BACKOFF = Backoff(first_s=0.1, cap_s=2.0, jitter=0.5)


class Insisting:
    """Implements ``rco.objects.contract.Objects`` over another keeper: three more attempts at a read, 50 to 100 ms
    later and twice as long each time. Nothing is sent twice: a read that has given its first piece is not begun anew,
    and what writes is passed on as it is."""

    def __init__(self, inner: Objects, clock: Clock, random: Callable[[], float]) -> None:
        self._inner, self._clock, self._random = inner, clock, random
        self.place = inner.place

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()

    async def begin(self) -> Intake:
        return await self._inner.begin()

    async def put(self, key: str, data: bytes) -> None:
        await self._inner.put(key, data)

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        await self._inner.put_all(objects)

    async def spool(self) -> Spool:
        return await self._inner.spool()

    async def delete(self, key: str) -> bool:
        return await self._inner.delete(key)

    async def collect(self) -> int:
        return await self._inner.collect()

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        return await self._insist(lambda: self._inner.listed(prefix, after, limit))

    async def seen(self, key: str) -> Seen | None:
        return await self._insist(lambda: self._inner.seen(key))

    async def open(self, key: str) -> Found | None:
        return await self._insist(lambda: self._inner.open(key))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        while True:
            began = self._clock.monotonic()
            try:
                return await ask()
            except StoreError:
                attempt += 1
                if attempt > RETRIES or self._clock.monotonic() - began > QUICK_S:
                    raise
            await asyncio.sleep(_BACKOFF.delay_s(attempt, self._random))
