"""DBOS Transact: a library in the process of the application, one transaction for each step's result."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.contract import NOTE, Counts, Engine, Peer, Place
from bench.peers.environments import venv

__all__ = ["PEERS", "engine"]


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "dbos"), {}


_peer = partial(
    Peer,
    kind="durable",
    installed="PyPI",
    prepare=_prepare,
    packages=("dbos", "sqlalchemy"),
    recoveries=1,
    counts=Counts(runs=150, alone=60, waits=200),
)
PEERS = (
    _peer(
        name="dbos-sqlite",
        text="DBOS on SQLite",
        durability="a commit for each step: rollback journal, synchronous=FULL (its own settings)",
    ),
    _peer(
        name="dbos-postgres",
        text="DBOS on PostgreSQL",
        durability="a commit for each step: synchronous_commit=on, fsync=on",
        needs_postgres=True,
    ),
)


class _Dbos(Engine):
    async def start(self) -> None:
        from dbos import DBOS, DBOSConfig

        place = self.place
        url = place.postgres or f"sqlite:///{place.folder}/dbos.sqlite"
        DBOS(config=DBOSConfig(name="bench", system_database_url=url, log_level="ERROR", application_version="bench"))

        @DBOS.step()
        async def work(number: int) -> dict[str, Any]:
            return {"number": number, "ok": True, "note": NOTE}

        @DBOS.workflow()
        async def steps(count: int) -> int:
            for number in range(count):
                await work(number)
            return count

        @DBOS.workflow()
        async def nap(seconds: float) -> float:
            began = time.time()
            await DBOS.sleep_async(seconds)
            return time.time() - began - seconds

        @DBOS.step()
        async def effect(run: int, step: int) -> int:
            await asyncio.sleep(0.02)
            with place.effects.open("a") as out:
                out.write(f"{run} {step}\n")
            return step

        @DBOS.workflow()
        async def crashed(run: int) -> int:
            for step in range(10):
                await effect(run, step)
            return run

        self._dbos, self._steps, self._nap, self._crashed = DBOS, steps, nap, crashed
        await asyncio.to_thread(DBOS.launch)

    async def stop(self) -> None:
        if hasattr(self, "_dbos"):
            await asyncio.to_thread(partial(self._dbos.destroy, workflow_completion_timeout_sec=0))

    async def run(self, steps: int) -> None:
        handle = await self._dbos.start_workflow_async(self._steps, steps)
        if await handle.get_result() != steps:
            raise AssertionError("a workflow gave another result")

    async def nap(self, seconds: float) -> float:
        handle = await self._dbos.start_workflow_async(self._nap, seconds)
        return float(await handle.get_result())

    async def begin(self, runs: int) -> None:
        await asyncio.gather(*(self._dbos.start_workflow_async(self._crashed, run) for run in range(runs)))


def engine(place: Place) -> Engine:
    return _Dbos(place)
