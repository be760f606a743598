"""Procrastinate: a task queue in PostgreSQL. A run of ten steps is ten jobs, each of which defers the next."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

from bench.peers.contract import NOTE, Counts, Engine, Peer, Place
from bench.peers.environments import venv

__all__ = ["PEERS", "engine"]

_POLL_S = 0.05
"""Its default of 5 s would be the lateness of every timer."""


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "procrastinate"), {}


PEERS = (
    Peer(
        name="procrastinate",
        text="Procrastinate on PostgreSQL",
        kind="queue",
        durability="a commit for each job: synchronous_commit=on, fsync=on; no memory of steps",
        installed="PyPI",
        prepare=_prepare,
        packages=("procrastinate", "psycopg"),
        counts=Counts(runs=150, alone=30, waits=200),
        declines={"recovery": "a killed worker's jobs wait until a task of the user's own retries the stalled ones"},
        needs_postgres=True,
    ),
)


class _Procrastinate(Engine):
    async def start(self) -> None:
        from procrastinate import App, PsycopgConnector

        logging.getLogger("procrastinate").setLevel(logging.ERROR)
        connector = PsycopgConnector(conninfo=self.place.postgres, min_size=4, max_size=20)
        app = self._app = App(connector=connector)
        waiting = self._waiting = dict[int, "asyncio.Future[float]"]()

        @app.task(name="work")
        async def work(run: int, number: int, last: int) -> dict[str, Any]:
            if number < last:
                await work.defer_async(run=run, number=number + 1, last=last)
            else:
                waiting.pop(run).set_result(0.0)
            return {"number": number, "ok": True, "note": NOTE}

        @app.task(name="wake")
        async def wake(run: int, due: float) -> None:
            waiting.pop(run).set_result(time.time() - due)

        self._work, self._wake, self._next = work, wake, 0
        await app.open_async()
        await app.schema_manager.apply_schema_async()
        self._task = asyncio.create_task(
            app.run_worker_async(concurrency=100, fetch_job_polling_interval=_POLL_S, install_signal_handlers=False)
        )

    async def stop(self) -> None:
        if hasattr(self, "_task"):
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._app.close_async()

    def _promise(self) -> tuple[int, asyncio.Future[float]]:
        self._next += 1
        future = self._waiting[self._next] = asyncio.get_running_loop().create_future()
        return self._next, future

    async def run(self, steps: int) -> None:
        run, future = self._promise()
        await self._work.defer_async(run=run, number=1, last=steps)
        await future

    async def nap(self, seconds: float) -> float:
        run, future = self._promise()
        due = time.time() + seconds
        await self._wake.configure(schedule_in={"seconds": seconds}).defer_async(run=run, due=due)
        return await future

    def settings(self) -> dict[str, Any]:
        return {
            "concurrency": 100,
            "listen_notify": True,
            "fetch_job_polling_interval_s": _POLL_S,
            "result": "seen in the worker's own process, before the row says so",
        }


def engine(place: Place) -> Engine:
    return _Procrastinate(place)
