"""Recovering: many runs at a time, as a node starts, gets a shard, or a namespace is erased."""

from __future__ import annotations

import asyncio
from typing import Any

from rco.engine.loading import Loading
from rco.engine.owner import Owner
from rco.engine.program import Programs
from rco.engine.queueing import awaits_version
from rco.errors import ObjectsAway
from rco.model.run import Mode, RunRow
from rco.store.contract.ownership import Pooled, Shards
from rco.store.contract.reader import Reader

__all__ = ["Recovery"]

PAGE = 500


class Recovery:
    """Goes through the open runs of shards, page by page, as many at a time as ``loading`` loads."""

    def __init__(self, owner: Owner, reader: Reader, programs: Programs, loading: Loading) -> None:
        self._owner, self._reader, self._programs = owner, reader, programs
        self._loading, self._reviving = loading, loading.reviving

    async def recover(self, shards: Shards | None = None) -> int:
        """Load every open run of ``shards`` (``None``: all) that is not parked. Returns how many came back."""
        count = 0
        among = self._owner.ownership.among(shards, self._programs.pool)
        with self._owner.departures() as gone:
            for mode in (Mode.HOT, Mode.IN_DOUBT, Mode.BLOCKED):
                after: bytes | None = None
                while True:
                    rows = await self._reader.open_runs(mode, after, PAGE, *among)
                    if not rows:
                        break
                    after = rows[-1].run_id
                    count += sum(await asyncio.gather(*(self._recover_one(row, gone) for row in rows)))
            await self._let_wait(among)
        return count

    async def _let_wait(self, among: tuple[Shards | None, Pooled | None]) -> None:
        """Wake the runs whose turns went back as long as their versions, which are here, were on no node."""
        after: bytes | None = None
        while rows := await self._reader.open_runs(Mode.PAUSED, after, PAGE, *among):
            after = rows[-1].run_id
            for row in rows:
                if awaits_version(row):
                    self._loading.wake(row.run_id)

    async def _recover_one(self, row: RunRow, gone: set[bytes]) -> bool:
        async with self._loading.gate:
            run_id = row.run_id
            # Runs that those loaded before them opened or woke stand in later pages as well.
            if run_id in self._owner.live or run_id in gone:
                return False
            try:
                live = await self._reviving.from_journal(row, gone)
                messages = [] if live is None else await self._reader.messages(run_id)
            except ObjectsAway:
                # One whose payloads cannot be had must not hold up the others.
                self._loading.wake(run_id)
                return False
            if live is None:
                return False
            self._loading.hand_over(live, messages)
            if messages and run_id in gone:
                self._loading.wake(run_id)
            return True

    async def set_aside(self, namespace: str, detail: dict[str, Any]) -> int:
        """Block every open run of ``namespace`` that is owned here; returns how many were not yet."""
        count = 0
        self._loading.unbegun.forget_namespace(namespace)
        for live in [live for live in self._owner.live.values() if live.namespace == namespace and not live.ending]:
            self._owner.block(live, detail)
            count += 1
        with self._owner.departures() as gone:
            for mode in (Mode.PARKED, Mode.PAUSED, Mode.QUEUED, Mode.IN_DOUBT, Mode.HOT):
                after: bytes | None = None
                while rows := await self._reader.open_runs(mode, after, PAGE, self._owner.ownership.shards()):
                    after = rows[-1].run_id
                    for row in rows:
                        there = row.run_id in self._owner.live or row.run_id in gone
                        if row.namespace == namespace and not there and self._owner.owns(row):
                            self._reviving.block(row, detail)
                            count += 1
        return count
