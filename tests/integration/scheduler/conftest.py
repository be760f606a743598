"""Nodes with engine and scheduler over a real keeper, under a clock that can be moved."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rco.audit.chain import ChainSealer
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.kit.clock import MICROS, SystemClock
from rco.kit.ids import Ids
from rco.model.decision import Decision
from rco.model.principal import Principal, Role
from rco.model.queue import Queue
from rco.model.run import RunRow
from rco.model.schedule import Schedule, ScheduleSpec
from rco.model.wire_schedules import ScheduleView
from rco.operations.desk import Desk
from rco.operations.schedule_make import create_schedule
from rco.queues.dispatcher import Dispatcher
from rco.queues.options import QueueOptions
from rco.scheduler.body import schedule_of
from rco.scheduler.options import SchedulerOptions
from rco.scheduler.quota import Quota
from rco.scheduler.scheduler import Scheduler
from rco.store import migrate
from rco.store.contract.reader import RunFilter
from rco.store.postgres import PostgresKeeper
from rco.store.postgres.options import PostgresOptions
from rco.store.sqlite import SqliteKeeper
from rco.telemetry.metrics import Metrics
from rco.workflow import Context, workflow
from rco.workflow.application import Application

OPERATOR = Principal(principal_id="op", name="op", role=Role.OPERATOR)
PATIENCE_S = 20


@workflow(name="note")
async def note(ctx: Context, given: Any) -> Any:
    return given


@workflow(name="hang")
async def hang(ctx: Context, given: Any) -> Any:
    return await ctx.signal("go")


class MovedClock:
    """The system's clock, set by tests."""

    def __init__(self) -> None:
        self._system, self.ahead_us = SystemClock(), 0

    def now_us(self) -> int:
        return self._system.now_us() + self.ahead_us

    def monotonic(self) -> float:
        return self._system.monotonic()


class Node:
    """One process's worth of RCO, without the doors."""

    queues: Mapping[str, Queue] = {}
    queue_options = QueueOptions()

    def __init__(self, home: Any, name: str, clock: MovedClock, options: SchedulerOptions) -> None:
        self.home, self.name, self.clock, self.options = home, name, clock, options
        self.calendars: dict[str, Any] = {}
        self.rules = "test"
        self.trouble: list[str] = []
        self.passed: list[str] = []
        self.lateness: list[float] = []

    async def start(self) -> Node:
        ids = Ids(self.clock)
        self.keeper = self.home(self.name, self.clock, ids)
        await self.keeper.start()
        self.executor = ThreadPoolExecutor(1)
        self.engine = Engine(
            self.keeper.writer,
            self.keeper.reader,
            self.programs(),
            lambda _: Started([], []),
            clock=self.clock,
            ids=ids,
            random=random.random,
            options=EngineOptions(),
            ownership=self.keeper.ownership,
        )
        self.keeper.on_mail(self.engine.wake)
        self.scheduler = Scheduler(
            self.engine,
            self.keeper.writer,
            self.keeper.reader,
            self.keeper.ownership,
            clock=self.clock,
            ids=ids,
            options=self.options,
            calendars=self.calendars,
            rules=self.rules,
        )
        self.scheduler.on_trouble.append(lambda name, problem: self.trouble.append(str(problem)))
        self.scheduler.on_passed.append(lambda reason, count: self.passed.extend([reason] * count))
        self.scheduler.on_start.append(lambda late: self.lateness.append(-1 if late is None else late))
        self.dispatcher = Dispatcher(
            self.engine,
            self.keeper.writer,
            self.keeper.reader,
            self.keeper.ownership,
            clock=self.clock,
            queues=self.queues,
            options=self.queue_options,
        )
        self.desk = Desk(
            engine=self.engine,
            scheduler=self.scheduler,
            dispatcher=self.dispatcher,
            quota=Quota(self.keeper.reader, self.clock, self.options.schedules_limit),
            writer=self.keeper.writer,
            reader=self.keeper.reader,
            router=None,
            targets=None,  # type: ignore[arg-type]
            clock=self.clock,
            ids=ids,
            metrics=Metrics(),
            log=None,  # type: ignore[arg-type]
        )
        await self.announced()
        await self.engine.start()
        await self.scheduler.start()
        return self

    def programs(self) -> Programs:
        """The code that this node has."""
        return Programs(Application("test", ".", [note, hang]).programs(None, self.executor))

    async def announced(self) -> None:
        """What others are to know of it stands in the store."""

    async def stop(self) -> None:
        await self.scheduler.stop()
        await self.engine.stop()
        await self.keeper.stop()
        self.executor.shutdown()

    async def move(self, s: float) -> None:
        """Set the clock ``s`` seconds ahead."""
        self.clock.ahead_us += round(s * MICROS)
        self.scheduler.wake()

    async def create(self, name: str = "s", **spec: Any) -> ScheduleView:
        known: dict[str, Any] = {"workflow": "note", "catch_up_window_s": 7 * 86_400}
        return await create_schedule(self.desk, OPERATOR, name, ScheduleSpec(**(known | spec)))

    async def schedule(self, name: str = "s") -> Schedule:
        row = await self.keeper.reader.schedule_named("default", name)
        assert row is not None
        return schedule_of(row)

    async def runs(self) -> list[RunRow]:
        """Oldest first."""
        found = await self.keeper.reader.runs(RunFilter(limit=1000))
        return found[::-1]

    async def until(self, condition: Callable[[], Awaitable[Any]]) -> Any:
        """The first answer that is true. Asked again and again, as nothing tells; bounded."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await condition()
                if answer:
                    return answer
                await asyncio.sleep(0.01)

    async def started(self, count: int, name: str = "s") -> Schedule:
        """The schedule once it has started ``count`` runs."""

        async def enough() -> Schedule | None:
            schedule = await self.schedule(name)
            return schedule if schedule.state.started >= count else None

        found: Schedule = await self.until(enough)
        assert found.state.started == count
        return found

    async def decisions(self) -> list[Decision]:
        reader = self.keeper.reader
        seals = [seal for chain in await reader.chains() for seal in await reader.seals(1, 1000, chain)]
        found = [one for seal in seals for one in msgspec.json.decode(seal.decisions, type=list[Decision])]
        return sorted(found, key=lambda one: one.at_us)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def options() -> SchedulerOptions:
    return SchedulerOptions(again_s=0.02, poll_s=0.2)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        path = tmp_path / "rco.db"
        migrate.up(path)
        return lambda name, clock, ids: SqliteKeeper(path, clock=clock, ids=ids, sealer=ChainSealer(), node=name)
    return request.getfixturevalue("postgres_home")


@pytest.fixture
def postgres_home(request: pytest.FixtureRequest) -> Any:
    server = request.getfixturevalue("postgres_server")
    dsn = server.dsn(request.getfixturevalue("postgres_database"))
    quick = PostgresOptions(heartbeat_s=0.2, ttl_s=1.5, margin_s=0.2, poll_s=0.2)
    return lambda name, clock, ids: PostgresKeeper(
        dsn, clock=clock, ids=ids, sealer=ChainSealer(), node=name, options=quick
    )


@pytest.fixture
def kind() -> type[Node]:
    """What ``nodes`` starts."""
    return Node


@pytest.fixture
async def nodes(
    kind: type[Node], home: Any, clock: MovedClock, options: SchedulerOptions
) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    made: list[Node] = []

    async def start(name: str = "node-1", **more: Any) -> Node:
        node = kind(home, name, clock, options)
        for key, value in more.items():
            setattr(node, key, value)
        await node.start()
        made.append(node)
        return node

    yield start
    for node in made:
        await node.stop()


@pytest.fixture
async def node(nodes: Any) -> Node:
    return await nodes()
