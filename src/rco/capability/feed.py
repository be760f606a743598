"""The feed: keeps a node's knowledge of revocations as new as the store allows.

A question every ``BEAT_S`` is heartbeat and news in one: the answer carries the newest number, and nothing that a
broadcast would lose can be lost. Where the numbers do not go on from the last one known (a gap, or a store that was put
back), everything is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rco.capability.revoked import SILENCE_S, Revoked
from rco.kit.clock import Clock
from rco.store.contract.revocations import Revocation, Revocations

__all__ = ["BEAT_S", "Feed"]

BEAT_S = 0.25
PAGE = 500


class Feed:
    """Reads for one ``Revoked``. ``trouble`` is told each time that the store gives no answer; a ``Lives``."""

    def __init__(
        self,
        store: Revocations,
        revoked: Revoked,
        clock: Clock,
        *,
        trouble: Callable[[BaseException], None] = lambda _: None,
        beat_s: float = BEAT_S,
    ) -> None:
        self._store, self._revoked, self._clock = store, revoked, clock
        self._trouble, self._beat_s = trouble, beat_s
        self._task: asyncio.Task[None] | None = None
        self.rereads = 0
        """How often everything was read again."""

    async def start(self) -> None:
        """Returns when everything was read once. Raises ``StoreError`` when the store gives no answer."""
        await self.read()
        self._task = asyncio.create_task(self._beat(), name="rco-revocations")

    async def stop(self) -> None:
        """May be called before ``start`` and twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self.read()
            except Exception as problem:  # noqa: BLE001 - whatever it is, this goes on; silence refuses by itself
                self._trouble(problem)

    async def read(self) -> None:
        """Ask once and take in what is new."""
        asked_s = self._clock.monotonic()
        known = self._revoked.seq
        head, gap = await self._read_from(known)
        if gap or head < known:
            self.rereads += 1
            head, _ = await self._read_from(0)
        self._revoked.heard(asked_s, head)

    async def _read_from(self, after: int) -> tuple[int, bool]:
        """The newest number, and whether one was missing on the way to it."""
        gap = False
        while True:
            page = await self._store.revocations(after, PAGE)
            self._revoked.add(page.entries)
            for entry in page.entries:
                gap = gap or entry.seq != after + 1
                after = entry.seq
            if len(page.entries) < PAGE:
                return page.head, gap or after < page.head

    async def revoke(self, entry: Revocation) -> Revocation:
        """Write ``entry`` down; when this returns it is durable and holds here. Elsewhere it does within a second."""
        done = await self._store.revoke(entry)
        self._revoked.add([done])
        return done
