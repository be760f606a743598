"""An engine in this process with all that a service has on: the fsync of each commit, evidence, metrics, limits, the
guard against what cannot be replayed, and the service's own memory settings."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from rco.audit.chain import ChainSealer
from rco.egress.client import Egress
from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.kit import memory
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.measure.scratch import Place
from rco.measure.usage import Meter
from rco.measure.workload import WORKLOAD
from rco.model.run import Outcome
from rco.model.target import Target
from rco.operations.observe import observe
from rco.store.opening import open_keeper
from rco.store.sqlite.connection import open_writer
from rco.store.sqlite.options import SqliteOptions
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics
from rco.workflow import Workflow
from rco.workflow.application import Application
from rco.workflow.guard import install_guard

__all__ = ["Rig", "durability", "side_by_side"]

_LEVELS = ("OFF", "NORMAL", "FULL", "EXTRA")


def durability(place: Place) -> dict[str, Any]:
    """What makes a commit at ``place`` durable: SQLite's ``synchronous`` as the keeper's own way of opening gives it,
    PostgreSQL's settings as the server said them."""
    if place.store == "postgresql":
        return dict(place.facts)
    connection = open_writer(Path(place.where).with_name("asked.db"), SqliteOptions())
    try:
        return {"synchronous": _LEVELS[connection.execute("PRAGMA synchronous").fetchone()[0]]}
    finally:
        connection.close()


class Rig:
    """``async with Rig(place) as rig``. ``finish`` checks that evidence and metrics were really on."""

    def __init__(
        self,
        place: Place,
        workflows: Sequence[Workflow[Any, Any]] = WORKLOAD,
        *,
        options: EngineOptions | None = None,
        targets: Iterable[Target] = (),
        node: str = "bench",
    ) -> None:
        self._place, self._workflows, self._targets, self._node = place, list(workflows), list(targets), node
        self._options = options or EngineOptions()
        self.metrics = Metrics()
        self.meter = Meter(place.server_pid)

    async def __aenter__(self) -> Self:
        install_guard()
        clock = SystemClock()
        ids = Ids(clock)
        keeper = open_keeper(self._place.where, clock=clock, ids=ids, sealer=ChainSealer(), node=self._node)
        await keeper.start()
        self.keeper = keeper
        self._executor = ThreadPoolExecutor(self._options.step_threads)
        self._egress = Egress(self._targets, clock=clock, ids=ids, resolve_secret=_no_secret, metrics=self.metrics)
        await self._egress.start()
        self.engine = Engine(
            keeper.writer,
            keeper.reader,
            Programs(Application("bench", ".", self._workflows).programs(self._egress, self._executor)),
            lambda _: Started([], []),
            clock=clock,
            ids=ids,
            random=random.random,
            options=self._options,
            ownership=keeper.ownership,
        )
        keeper.on_mail(self.engine.wake)
        observe(self.engine, keeper.writer, self.metrics, clock)
        await self.engine.start()
        memory.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop()
        await self._egress.stop()
        await self.keeper.stop()
        self._executor.shutdown()

    async def start(self, workflow: str, given: Any) -> bytes:
        """Start a run; returns its identity when it is durable."""
        return (await self.engine.start_run(StartAsk(workflow=workflow, input=given))).run_id

    async def result(self, run_id: bytes, timeout_s: float = 60.0) -> Any:
        """What the run gave. Raises ``AssertionError`` when it did not complete in time."""
        finished = await self.engine.result(run_id, timeout_s)
        assert finished is not None, f"a run did not close within {timeout_s:g} s"
        assert finished.outcome is Outcome.COMPLETED, finished
        return finished.value

    async def run(self, workflow: str, given: Any) -> None:
        """Start a run and wait for its result. Raises ``AssertionError`` when it did not complete."""
        await self.result(await self.start(workflow, given))

    async def finish(self, steps: int, runs: int) -> dict[str, Any]:
        """The settings of the figure, after checking that ``steps`` and ``runs`` were counted and sealed."""
        counted = self.metrics.counter(signals.STEPS, outcome="ok").value
        assert counted == steps, f"{counted} steps in the metrics, {steps} were made"
        links = 0
        for chain in await self.keeper.reader.chains():
            head = await self.keeper.reader.head(chain)
            links += 0 if head is None else head.n
        commits = self.metrics.counter(signals.COMMITS).value
        assert links >= commits > 0, f"{links} links of evidence for {commits} commits"
        return {
            **durability(self._place),
            "evidence": f"{links} links",
            "metrics": "on",
            "limits": "defaults",
            "commits": int(commits),
            "runs": runs,
            "cpu": "node and database" if self._place.server_pid else "node",
        }


async def side_by_side(
    count: int, at_a_time: int, one: Callable[[], Awaitable[None]], meter: Meter
) -> tuple[float, float]:
    """Do ``one`` ``count`` times, ``at_a_time`` at any moment. Gives wall seconds and the CPU seconds of ``meter``."""
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await one()

    cpu, began = meter.cpu_s(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(min(at_a_time, count))))
    took_s = time.perf_counter() - began
    return took_s, meter.cpu_s() - cpu


def _no_secret(reference: str) -> str:
    raise KeyError(reference)
