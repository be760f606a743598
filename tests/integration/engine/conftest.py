"""An engine over a real keeper in a temporary folder, which can be stopped and started again on the same file."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rco.audit.chain import ChainSealer
from rco.engine.ask import StartAsk
from rco.engine.emitting import Ask, Started
from rco.engine.ending import Finished
from rco.engine.engine import Engine
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.journal import Record, decode_segment
from rco.model.version import pin
from rco.store import migrate
from rco.store.sqlite.keeper import SqliteKeeper
from rco.workflow import Workflow
from rco.workflow.application import Application


class Node:
    """One engine on one file."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        self.path, self.options = path, options
        self.clock = SystemClock()
        self.workflows: list[Workflow[Any, Any]] = []
        self.versions: dict[str, list[Workflow[Any, Any]]] = {}
        """Instead of workflows: the code of each version in the pool, the last of which is the current one."""
        self.caller: Any = None
        self.starts: Callable[[Event], Started] = lambda event: Started([], [])
        self.keeper: SqliteKeeper
        self.engine: Engine

    def programs(self) -> tuple[list[Any], dict[str, list[Any]] | None]:
        if not self.versions:
            return Application("test", ".", self.workflows).programs(self.caller, self.executor), None
        pool = {
            pin(name): Application("test", ".", code).programs(self.caller, self.executor, version=pin(name))
            for name, code in self.versions.items()
        }
        return list(pool.values())[-1], pool

    async def start(self, *workflows: Workflow[Any, Any]) -> None:
        if workflows:
            self.workflows = list(workflows)
        self.executor = ThreadPoolExecutor(2)
        ids = Ids(self.clock)
        self.keeper = SqliteKeeper(self.path, clock=self.clock, ids=ids, sealer=ChainSealer(), node="test")
        await self.keeper.start()
        self.engine = Engine(
            self.keeper.writer,
            self.keeper.reader,
            Programs(*self.programs()),
            self.starts,
            clock=self.clock,
            ids=ids,
            random=random.random,
            options=self.options,
        )
        self.keeper.on_mail(self.engine.wake)
        await self.engine.start()

    async def stop(self) -> None:
        await self.engine.stop()
        await self.keeper.stop()
        self.executor.shutdown(wait=True)

    async def again(self, *workflows: Workflow[Any, Any]) -> None:
        """Stop and start on the same file, as after a crash: nothing is kept but what was committed."""
        await self.stop()
        await self.start(*workflows)

    async def open(self, workflow: str | Workflow[Any, Any], given: Any = None, **more: Any) -> bytes:
        name = workflow if isinstance(workflow, str) else workflow.name
        return (await self.engine.start_run(StartAsk(workflow=name, input=given, **more))).run_id

    async def end(self, run_id: bytes, timeout_s: float = 10) -> Finished:
        finished = await self.engine.result(run_id, timeout_s)
        assert finished is not None, "the run did not close in time"
        return finished

    async def run(self, workflow: Workflow[Any, Any], given: Any = None) -> Finished:
        return await self.end(await self.open(workflow, given))

    async def signal(self, run_id: bytes, name: str, value: Any = None, message_id: str | None = None) -> bool:
        decision = Decision(verb=Verb.SIGNAL, at_us=self.clock.now_us())
        return await self.engine.signal(run_id, name, value, message_id or Ids().ulid(), decision)

    async def cancel(self, run_id: bytes) -> None:
        await self.engine.cancel(run_id, "test", "test", Decision(verb=Verb.CANCEL, at_us=self.clock.now_us()))

    async def journal(self, run_id: bytes) -> list[Record]:
        segments = await self.keeper.reader.journal(run_id)
        return [record for segment in segments for record in decode_segment(segment.data)]

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait for what no signal tells: asked again after every commit, bounded."""
        async with asyncio.timeout(10):
            while True:
                answer = condition()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return
                await asyncio.sleep(0.005)


@pytest.fixture
def options() -> EngineOptions:
    return EngineOptions(park_after_s=30)


@pytest.fixture
async def node(tmp_path: Path, options: EngineOptions) -> AsyncIterator[Node]:
    path = tmp_path / "rco.db"
    migrate.up(path)
    node = Node(path, options)
    yield node
    await node.stop()


@pytest.fixture
def start_on() -> Callable[[str, str], Callable[[Event], Started]]:
    """A routing function: events of ``type`` start ``workflow`` with their id as input."""

    def make(type: str, workflow: str) -> Callable[[Event], Started]:
        def starts(event: Event) -> Started:
            if event.type != type:
                return Started([], [])
            ask = StartAsk(workflow=workflow, input=event.id, key=f"event:{event.id}")
            return Started([Ask("test", ask, keyed=True)], [])

        return starts

    return make
