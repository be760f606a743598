"""Faults inside a service's own process, at the seams to what stands behind it: its store, its objects, its clock.

No setting of the product leads here: only ``rco.drills.node`` plants them, before the service is put together.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import msgspec

from rco.errors import StoreError

__all__ = ["Fault", "Faults", "plant"]

_SLICE_S = 0.05


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong from now on; all of it at its default: nothing."""

    delay_s: float = 0.0
    """Each commit and each use of the objects takes so much longer."""
    commit_delay_s: float = 0.0
    """Each commit does, besides, until the fault ends."""
    errors: float = 0.0
    """The share of what is asked of the store and the objects that fails, with nothing done."""
    skew_s: float = 0.0
    """How far the clock is before the time; the system's clock is left alone."""


class Faults:
    """The fault that holds now. Read by the loop and by the writer's thread; replaced whole."""

    def __init__(self, seed: int) -> None:
        self.now = Fault()
        self._chance = random.Random(seed)  # noqa: S311 - faults that can be repeated

    def strike(self) -> None:
        """Raises ``StoreError`` for the share that fails."""
        if self.now.errors and self._chance.random() < self.now.errors:
            raise StoreError("the drill lets this fail.", cure="End the drill.")

    async def hold(self) -> None:
        """Take as long as the fault says, then fail if it is to."""
        if self.now.delay_s:
            await asyncio.sleep(self.now.delay_s)
        self.strike()


def plant(faults: Faults) -> None:
    """Put ``faults`` at the seams. To be called once in a process, before ``rco.app`` is imported."""
    _clock(faults)
    _commits(faults)
    _flushes(faults)
    _acceptance(faults)
    _objects(faults)


def _clock(faults: Faults) -> None:
    from rco.kit.clock import MICROS, SystemClock

    def now_us(self: SystemClock) -> int:  # noqa: ARG001 - a method
        return time.time_ns() // 1000 + round(faults.now.skew_s * MICROS)

    SystemClock.now_us = now_us  # type: ignore[method-assign]


def _commits(faults: Faults) -> None:
    """In the writer's own thread, where a slow disk would be felt."""
    from rco.store.sqlite.commit import Committer

    commit = Committer.commit

    def slowly(self: Committer, batch: Any) -> Any:
        fault = faults.now
        until_s = time.monotonic() + fault.delay_s + fault.commit_delay_s
        while faults.now is fault and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _SLICE_S))
        return commit(self, batch)

    Committer.commit = slowly  # type: ignore[method-assign]


def _flushes(faults: Faults) -> None:
    """The same on PostgreSQL, where a slow way to the database would be felt."""
    try:
        from rco.store.postgres.flusher import Flusher
    except ImportError:
        # Its library is not installed, so no store is there.
        return
    flush = Flusher._commit

    async def slowly(self: Flusher, batch: Any) -> Any:
        fault = faults.now
        until_s = time.monotonic() + fault.delay_s + fault.commit_delay_s
        while faults.now is fault and (left_s := until_s - time.monotonic()) > 0:  # noqa: ASYNC110 - as in the thread
            await asyncio.sleep(min(left_s, _SLICE_S))
        return await flush(self, batch)

    Flusher._commit = slowly  # type: ignore[method-assign]


def _acceptance(faults: Faults) -> None:
    """Before anything is written: as when the way to the database is lost. What has been handed to the writer is
    another matter, as it is tried until it is durable."""
    from rco.operations import content, receive

    accepts, records = receive.receive, content.record_put

    async def accepting(*given: Any, **named: Any) -> Any:
        faults.strike()
        return await accepts(*given, **named)

    async def recording(*given: Any, **named: Any) -> Any:
        faults.strike()
        return await records(*given, **named)

    receive.receive = accepting
    content.record_put = recording


def _objects(faults: Faults) -> None:
    from rco.objects import opening

    opens = opening.open_objects

    def opened(options: Any, data: Path, **named: Any) -> Any:
        return _Objects(opens(options, data, **named), faults)

    opening.open_objects = opened


class _Objects:
    """Objects that are slow and fail. What is not told here is as it was."""

    def __init__(self, inner: Any, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def begin(self) -> Any:
        return _Intake(await self._inner.begin(), self._faults)

    async def seen(self, key: str) -> Any:
        await self._faults.hold()
        return await self._inner.seen(key)

    async def open(self, key: str) -> Any:
        await self._faults.hold()
        return await self._inner.open(key)

    async def put(self, key: str, data: bytes) -> None:
        await self._faults.hold()
        await self._inner.put(key, data)


class _Intake:
    def __init__(self, inner: Any, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, key: str) -> None:
        await self._faults.hold()
        await self._inner.commit(key)
