"""Collecting objects that nothing refers to: what a crash left between a put and its commit, and what retention freed.

An object goes only when it was put longer ago than the grace, *and* was found unused by two looks at least the grace
apart. So a writer has the grace to commit what it has just put, and one that takes a reference over from somewhere else
(a fork, a parent from its child) has it too, from when it read it.
"""

from __future__ import annotations

import asyncio

import msgspec

from rco.kit.clock import MICROS
from rco.objects.contract import Objects
from rco.payloads.keeping import name_of, prefix_of
from rco.store.contract.payloads import PayloadRows

__all__ = ["Sweeper", "Swept"]

PAGE = 500
WATCHED_MAX = 100_000
"""So many unused objects are remembered from look to look; what is beyond comes later."""

DELETES_AT_A_TIME = 16
"""Each is a request of its own, and an object store answers them beside one another."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found. ``waiting``: unused, and still within the grace."""

    used: int = 0
    waiting: int = 0
    removed: int = 0
    removed_bytes: int = 0


class Sweeper:
    """Looks at all objects of one database. One at a time, on one node."""

    def __init__(self, objects: Objects, rows: PayloadRows, space: str) -> None:
        self._objects, self._rows, self._prefix = objects, rows, prefix_of(space)
        self._unused_since: dict[bytes, int] = {}

    async def look(self, now_us: int, grace_s: float, *, preview: bool = False) -> Swept:
        """Remove what may go; with ``preview`` only count it. Raises ``StoreError``: what was not reached is looked at
        the next time."""
        grace_us = round(grace_s * MICROS)
        used = waiting = removed = removed_bytes = 0
        seen: dict[bytes, int] = {}
        after = ""
        while page := await self._objects.listed(self._prefix, after, PAGE):
            after = page[-1].key
            named = {name: one for one in page if (name := name_of(one.key)) is not None}
            # Asked after they were listed: what is referred to from now on was put longer ago than the grace by nobody
            # who had not read it before.
            held = await self._rows.payloads_used(list(named))
            used += len(held)
            going: list[bytes] = []
            for name, one in named.items():
                if name in held:
                    continue
                since_us = self._unused_since.get(name, now_us)
                if now_us - one.put_us >= grace_us and now_us - since_us >= grace_us:
                    going.append(name)
                    removed_bytes += one.size_bytes
                    continue
                waiting += 1
                if len(seen) < WATCHED_MAX:
                    seen[name] = since_us
            removed += len(going)
            if preview:
                seen.update((name, self._unused_since.get(name, now_us)) for name in going)
                continue
            if going:
                # In this order: what is left by a death in between is found again.
                await self._rows.forget_payloads(going)
            for start in range(0, len(going), DELETES_AT_A_TIME):
                keys = [named[name].key for name in going[start : start + DELETES_AT_A_TIME]]
                await asyncio.gather(*(self._objects.delete(key) for key in keys))
        self._unused_since = seen
        return Swept(used=used, waiting=waiting, removed=removed, removed_bytes=removed_bytes)
