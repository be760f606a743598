"""Removing records of steps that nobody will ask for again: old ones, of runs that are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from rco.datasource.steps import Datasource
from rco.kit.lifecycle import stop_task
from rco.model.run import Mode, shard_of
from rco.store.contract.ownership import Ownership
from rco.store.contract.reader import RunReader
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics

__all__ = ["BATCH", "Cleaner"]

BATCH = 500
_PAGE = """
SELECT at, run_id, step_key FROM rco.rco_step
WHERE at < clock_timestamp() - make_interval(secs => $1)
    AND ($2::timestamptz IS NULL OR (at, run_id, step_key) > ($2, $3::uuid, $4::text))
ORDER BY at, run_id, step_key LIMIT $5
"""
_GONE = """
DELETE FROM rco.rco_step AS s USING unnest($1::uuid[], $2::text[]) AS g(run_id, step_key)
WHERE s.run_id = g.run_id AND s.step_key = g.step_key
"""
_Place = tuple[datetime, Any, str]


class Cleaner:
    """Looks at the oldest records, a batch at a time. Each node sees to the runs of its own shards.

    A record whose run this store does not know stays: it may be another deployment's, which uses the same database.
    """

    def __init__(
        self,
        source: Datasource,
        reader: RunReader,
        ownership: Ownership,
        metrics: Metrics,
        trouble: Callable[[Exception], None],
    ) -> None:
        self._source, self._reader, self._ownership = source, reader, ownership
        self._metrics, self._trouble = metrics, trouble
        self._after: _Place | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        await stop_task(self._task)

    async def _run(self) -> None:
        more = False
        while True:
            await asyncio.sleep(0.05 if more else self._source.database.clean_every_s)
            try:
                more = await self.clean()
            except Exception as problem:  # noqa: BLE001 - it is tried again, and what is kept harms nobody
                more = False
                self._trouble(problem)

    async def clean(self) -> bool:
        """Look at one batch. Whether there are more: the next call goes on behind it; when false, from the start."""
        database, after = self._source.database, self._after
        pool = await self._source.pool()
        place = (None, None, None) if after is None else after
        rows = await pool.fetch(_PAGE, database.keep_s, *place, BATCH)
        closed: dict[bytes, bool] = {}
        gone: list[tuple[Any, str]] = []
        for _, run, key in rows:
            run_id = bytes(run.bytes)
            if run_id not in closed:
                closed[run_id] = self._ownership.owns(shard_of(run_id)) and await self._closed(run_id)
            if closed[run_id]:
                gone.append((run, key))
        if gone:
            await pool.execute(_GONE, [run for run, _ in gone], [key for _, key in gone])
            self._metrics.counter(signals.TRANSACTION_RECORDS_REMOVED, database=database.name).add(len(gone))
        self._after = tuple(rows[-1]) if len(rows) == BATCH else None
        return self._after is not None

    async def _closed(self, run_id: bytes) -> bool:
        row = await self._reader.run(run_id)
        return row is not None and row.mode is Mode.CLOSED
