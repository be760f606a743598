"""An engine in this process with all that a service has on: the fsync of each commit, evidence, metrics, limits, the
guard against what cannot be replayed, and the service's own memory settings."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from bench.app import WORKFLOWS
from rco.audit.chain import ChainSealer
from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.kit import memory
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.run import Outcome
from rco.operations.observe import observe
from rco.store import migrate
from rco.store.sqlite.connection import open_writer
from rco.store.sqlite.keeper import SqliteKeeper
from rco.store.sqlite.options import SqliteOptions
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics
from rco.workflow.application import Application
from rco.workflow.guard import install_guard

__all__ = ["Rig", "side_by_side", "synchronous"]

_LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")


def synchronous(folder: Path) -> str:
    """The ``synchronous`` level that the keeper's own way of opening a database gives it."""
    connection = open_writer(folder / "asked.db", SqliteOptions())
    try:
        return _LEVELS[connection.execute("PRAGMA synchronous").fetchone()[0]]
    finally:
        connection.close()


class Rig:
    """``async with Rig(folder) as rig``. ``finish`` checks that evidence and metrics were really on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.metrics = Metrics()

    async def __aenter__(self) -> Self:
        install_guard()
        clock = SystemClock()
        ids = Ids(clock)
        path = self._folder / "rco.db"
        await asyncio.to_thread(migrate.up, path)
        self.keeper = SqliteKeeper(path, clock=clock, ids=ids, sealer=ChainSealer(), node="bench")
        await self.keeper.start()
        self._executor = ThreadPoolExecutor(EngineOptions().step_threads)
        no_caller: Any = None
        programs = Application("bench", ".", WORKFLOWS).programs(no_caller, self._executor)
        self.engine = Engine(
            self.keeper.writer,
            self.keeper.reader,
            Programs(programs),
            lambda _: Started([], []),
            clock=clock,
            ids=ids,
            random=random.random,
            options=EngineOptions(),
        )
        observe(self.engine, self.keeper.writer, self.metrics, clock)
        await self.engine.start()
        memory.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop()
        await self.keeper.stop()
        self._executor.shutdown()

    async def run(self, workflow: str, given: Any) -> None:
        """Start a run and wait for its result. Raises ``AssertionError`` when it did not complete."""
        started = await self.engine.start_run(StartAsk(workflow=workflow, input=given))
        finished = await self.engine.result(started.run_id, 60)
        assert finished is not None, "a run did not close within a minute"
        assert finished.outcome is Outcome.COMPLETED, finished

    async def finish(self, steps: int, runs: int) -> dict[str, Any]:
        """The settings of the figure, after checking that ``steps`` and ``runs`` were counted and sealed."""
        counted = self.metrics.counter(signals.STEPS, outcome="ok").value
        assert counted == steps, f"{counted} steps in the metrics, {steps} were made"
        head = await self.keeper.reader.head()
        assert head is not None, "no evidence was written"
        links = await self.keeper.reader.seals(1, 1000)
        closed = self.metrics.counter(signals.COMMITS).value
        assert head.n >= closed > 0, f"{head.n} links of evidence for {closed} commits"
        return {
            "synchronous": synchronous(self._folder),
            "evidence": f"{head.n} links, the first {len(links)} hold {sum(len(one.leaves) // 32 for one in links)}"
            " segments",
            "metrics": "on",
            "limits": "defaults",
            "commits": int(closed),
            "runs": runs,
        }


async def side_by_side(count: int, at_a_time: int, one: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Do ``one`` ``count`` times, ``at_a_time`` at any moment. Gives (wall seconds, CPU seconds of this process)."""
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await one()

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(min(at_a_time, count))))
    return time.perf_counter() - began, time.process_time() - cpu
