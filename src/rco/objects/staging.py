"""Small objects that are durable with a commit of the store, and are moved to where objects are kept afterwards.

To put a small object by itself is a file and two flushes of the disk (or a bucket's answer), beside the commit that
says that it was accepted. So its bytes go with that commit, and every now and then those that came meanwhile are put
together. Until then they are read from memory by who put them, and from the database by everybody else. A node that
dies leaves them there; whoever looks next moves them, and twice is once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from rco.errors import StoreError
from rco.kit.clock import MICROS, Clock
from rco.kit.lifecycle import stop_task
from rco.model.staged import StagedObject
from rco.objects.contract import Found, Intake, Objects, Seen, Spool

__all__ = ["StagedObjects", "StagingRows"]

OBJECT_BYTES_MAX = 16 << 10
"""What is larger is put by itself: a commit carries what others wait for as well."""
MOVED_TOGETHER = 512
EVERY_S = 0.5
ORPHAN_S = 60.0
AWAY_S = 5.0
LAST_S = 3.0
_ENOUGH = 3
_EVER_US = 1 << 62


class StagingRows(Protocol):
    """Where they stand meanwhile: ``rco.store.contract.staging.StagedRows``."""

    async def staged(self, key: str) -> StagedObject | None: ...

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]: ...

    async def unstage(self, moved: list[StagedObject]) -> None: ...


class StagedObjects:
    """Implements ``rco.objects.contract.Objects`` over another keeper, and keeps the ``kit.lifecycle.Lives`` contract
    for what moves them. Listed are only those that were moved.

    ``stage`` reserves room for one; then ``keep`` (it is committed) or ``drop`` (it is not, or nobody waits any more to
    hear of it). Who gave up waiting may be followed by the commit: ``keep`` counts whatever came before.
    """

    def __init__(
        self,
        inner: Objects,
        rows: StagingRows,
        clock: Clock,
        *,
        limit_bytes: int,
        trouble: Callable[[BaseException], None],
        every_s: float = EVERY_S,
        orphan_s: float = ORPHAN_S,
    ) -> None:
        """``limit_bytes`` bounds what waits to be moved; ``trouble`` hears of what gives no answer, and is tried
        again. What has stood for ``orphan_s`` was left by who died, or by a commit of which nobody knew whether it
        stands: it is looked for as often."""
        self._inner, self._rows, self._clock = inner, rows, clock
        self._limit_bytes, self._trouble = limit_bytes, trouble
        self._every_s, self._orphan_s = every_s, orphan_s
        self.place = inner.place
        self._held: dict[str, StagedObject] = {}
        self._size_bytes = self._last_us = 0
        self._reserved: set[int] = set()
        """``put_us`` of what was staged and of which nothing was heard since."""
        self._came = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # -- staging ---------------------------------------------------------------------------------------------------

    def stage(self, key: str, data: bytes) -> StagedObject | None:
        """The object as a commit is to carry it; ``None`` where it is too large, or too much waits already."""
        if len(data) > OBJECT_BYTES_MAX or self._size_bytes + len(data) > self._limit_bytes:
            return None
        self._size_bytes += len(data)
        # Later than every other of this node: what is put again is not taken for what is being moved.
        self._last_us = max(self._clock.now_us(), self._last_us + 1)
        self._reserved.add(self._last_us)
        return StagedObject(key, self._last_us, data)

    def keep(self, one: StagedObject) -> None:
        """It is durable: from now on it is found, and it will be moved."""
        if one.put_us in self._reserved:
            self._reserved.remove(one.put_us)
        else:
            self._size_bytes += len(one.data)
        before = self._held.pop(one.key, None)
        if before is not None:
            self._size_bytes -= len(before.data)
        self._held[one.key] = one
        self._came.set()

    def drop(self, one: StagedObject) -> None:
        """It was not committed, or nobody knows: then it is moved when it has stood for long. Nothing where it is kept
        already."""
        if one.put_us in self._reserved:
            self._reserved.remove(one.put_us)
            self._size_bytes -= len(one.data)

    @property
    def waiting(self) -> int:
        """Objects of this node that are not moved yet."""
        return len(self._held)

    async def among(self, keys: list[str]) -> set[str]:
        """Those of ``keys`` under which something was put that is not moved yet, by whomever. Raises ``StoreError``."""
        found = {key for key in keys if key in self._held}
        if await self._rows.staged_before(_EVER_US, 1):
            found |= {key for key in keys if key not in found and await self._rows.staged(key) is not None}
        return found

    # -- moving ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The keeper below is started by who opened it."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._move_on(), name="rco-staged-objects"),
            loop.create_task(self._adopt_on(), name="rco-orphaned-objects"),
        ]

    async def stop(self) -> None:
        """Move what waits, if that takes no longer than ``LAST_S``. What is left stays where it is, and the next start
        finds it."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await stop_task(task)
        if tasks and self._held:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_S):
                    await self._move(list(self._held.values()))

    async def _move_on(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            await asyncio.sleep(self._every_s)
            await self._move_all()

    async def _move_all(self) -> None:
        together = MOVED_TOGETHER
        while self._held:
            some = list(islice(self._held.values(), together))
            if await self._move(some):
                for one in some:
                    if self._held.get(one.key) is one:
                        del self._held[one.key]
                        self._size_bytes -= len(one.data)
                together = min(2 * together, MOVED_TOGETHER)
                continue
            # The place is away, or will not have one of them: that one is found, and keeps nobody waiting behind it.
            if len(some) == 1 and self._held.get(some[0].key) is some[0]:
                self._held[some[0].key] = self._held.pop(some[0].key)
            together = 1
            await asyncio.sleep(AWAY_S)

    async def _adopt_on(self) -> None:
        # A start takes all there is: nobody may be left who put it. Where somebody is, both move it, which is no harm.
        age_s = 0.0
        while True:
            before_us = self._clock.now_us() - round(age_s * MICROS)
            try:
                while some := await self._rows.staged_before(before_us, MOVED_TOGETHER):
                    others = [one for one in some if self._held.get(one.key) != one]
                    if not (await self._move(others) or await self._move_each(others)):
                        break
                    if len(some) < MOVED_TOGETHER or len(others) < len(some):
                        break
            except StoreError as problem:
                self._trouble(problem)
            else:
                age_s = self._orphan_s
            await asyncio.sleep(self._orphan_s)

    async def _move_each(self, some: list[StagedObject]) -> bool:
        """One by one, as not all can be moved together. Whether all were."""
        failed = 0
        for one in some:
            failed += not await self._move([one])
            if failed == _ENOUGH:
                break
        return not failed

    async def _move(self, some: list[StagedObject]) -> bool:
        """Put them where objects are kept, then take them out of the database. Whether that was done."""
        try:
            if some:
                await self._inner.put_all([(one.key, one.data) for one in some])
                await self._rows.unstage(some)
        except Exception as problem:  # noqa: BLE001 - whatever it is, they stay where they are and this goes on
            self._trouble(problem)
            return False
        return True

    # -- as a keeper of objects ------------------------------------------------------------------------------------

    async def open(self, key: str) -> Found | None:
        return await self.near(key) or await self.far(key)

    async def near(self, key: str) -> Found | None:
        """What is there, as far as the database need not be asked."""
        held = self._held.get(key)
        return await self._inner.open(key) if held is None else _found(held)

    async def far(self, key: str) -> Found | None:
        """What ``near`` did not find, and the database knows of."""
        staged = await self._rows.staged(key)
        # Moved between the two looks, it is there now.
        return await self._inner.open(key) if staged is None else _found(staged)

    async def seen(self, key: str) -> Seen | None:
        found = await self.open(key)
        if found is None:
            return None
        await found.close()
        return found.seen

    async def begin(self) -> Intake:
        return await self._inner.begin()

    async def put(self, key: str, data: bytes) -> None:
        await self._inner.put(key, data)
        # What was put before it must not come after it.
        if key in self._held:
            await self._forget(key)

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        await self._inner.put_all(objects)

    async def spool(self) -> Spool:
        return await self._inner.spool()

    async def delete(self, key: str) -> bool:
        was_staged = await self._forget(key)
        return await self._inner.delete(key) or was_staged

    async def _forget(self, key: str) -> bool:
        """Take out of the database what stands there under ``key``. Whether there was something."""
        held = self._held.pop(key, None)
        if held is not None:
            self._size_bytes -= len(held.data)
        found = held or await self._rows.staged(key)
        if found is not None:
            await self._rows.unstage([found])
        return found is not None

    async def collect(self) -> int:
        return await self._inner.collect()

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        return await self._inner.listed(prefix, after, limit)


def _found(one: StagedObject) -> Found:
    return Found(Seen(one.key, len(one.data), one.put_us), one.data)
