"""Versions over several nodes: a move is written by the owner of the run's shard, whatever code that has."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.moving import MoveAsk
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.kit.ids import Ids
from rco.model.journal import Kind, decode_segment
from rco.model.run import Outcome
from rco.model.version import pin
from rco.workflow import Context, workflow
from rco.workflow.application import Application


async def note(what: str) -> str:
    return what


def code(word: str) -> Any:
    @workflow(name="ship")
    async def ship(ctx: Context, given: str) -> list[str]:
        told = [await ctx.step(note, "pack", name="pack")]
        await ctx.signal("go")
        told.append(await ctx.step(note, word, name="send"))
        await ctx.signal("end")
        return told

    return ship


CODE = {"v1": code("post"), "v2": code("courier")}


class Serving:
    """A keeper with an engine that has these versions, the last of which is the current one."""

    def __init__(self, node: Any, *versions: str) -> None:
        self.node, self.versions = node, versions
        self.executor = ThreadPoolExecutor(2)
        pool = {
            pin(name): Application("test", ".", [CODE[name]]).programs(None, self.executor, version=pin(name))
            for name in versions
        }
        self.engine = Engine(
            node.writer,
            node.reader,
            Programs(pool[pin(versions[-1])], pool),
            lambda _: Started([], []),
            clock=node.clock,
            ids=Ids(node.clock),
            random=random.random,
            options=EngineOptions(park_after_s=0.05, timer_window_s=600.0),
            ownership=node.ownership,
        )
        node.keeper.on_mail(self.engine.wake)

    async def start(self) -> None:
        await self.node.keeper.start()
        versions = {name: f"digest-{name}" for name in self.versions}
        current = self.versions[-1]
        assert await self.node.reader.announce(self.node.name, versions, current, 1) == {}
        await self.engine.start()

    async def open(self) -> bytes:
        return (await self.engine.start_run(StartAsk(workflow="ship", input="a"))).run_id

    async def stop(self) -> None:
        await self.engine.stop()
        await self.node.keeper.stop()

    async def signal(self, run_id: bytes, name: str) -> None:
        from rco.model.decision import Decision, Verb

        await self.engine.signal(run_id, name, None, Ids().ulid(), Decision(verb=Verb.SIGNAL, at_us=1))

    async def records(self, run_id: bytes) -> list[Any]:
        return [one for segment in await self.node.reader.journal(run_id) for one in decode_segment(segment.data)]

    async def waits(self, run_id: bytes, name: str) -> None:
        async with asyncio.timeout(20):
            while not any(one.kind == Kind.WAIT and one.body["signal"] == name for one in await self.records(run_id)):
                await asyncio.sleep(0.02)


@pytest.fixture
async def serve(make_node: Callable[..., Any]) -> AsyncIterator[Callable[..., Any]]:
    made: list[Serving] = []

    async def begin(name: str, *versions: str) -> Serving:
        made.append(Serving(make_node(name), *versions))
        await made[-1].start()
        return made[-1]

    yield begin
    for one in made:
        await one.stop()


async def test_a_node_that_lacks_the_new_code_writes_the_move_that_another_has_tried(serve) -> None:
    old = await serve("old", "v1")
    runs = [await old.open() for _ in range(12)]
    for run_id in runs:
        await old.waits(run_id, "go")
    passed = runs[0]
    await old.signal(passed, "go")
    await old.waits(passed, "end")
    new = await serve("new", "v1", "v2")
    async with asyncio.timeout(20):
        while not (old.node.ownership.shards() and new.node.ownership.shards()):
            await asyncio.sleep(0.02)
    tried = {}
    for run_id in runs:
        row = await new.node.reader.run(run_id)
        tried[run_id] = await new.engine.move(row, MoveAsk(to="@v2", actor="test", move="m"))
    assert tried.pop(passed).status == "misfit"
    assert {one.status for one in tried.values()} == {"moved"}
    for run_id in tried:
        assert (await new.node.reader.run(run_id)).version == "@v2"
        assert [one.kind for one in await new.records(run_id)].count(Kind.VERSION) == 1
    for run_id in runs:
        if run_id is not passed:
            await new.signal(run_id, "go")
        await new.signal(run_id, "end")
    finished = await old.engine.result(passed, 20)
    assert (finished.outcome, finished.value) == (Outcome.COMPLETED, ["pack", "post"])
    for run_id in tried:
        finished = await new.engine.result(run_id, 30)
        assert (finished.outcome, finished.value) == (Outcome.COMPLETED, ["pack", "courier"])


async def test_two_nodes_cannot_bring_one_name_with_different_code(serve) -> None:
    first = await serve("first", "v1")
    await first.open()
    second = await serve("second", "v1", "v2")
    reader = second.node.reader
    assert await reader.announce("second", {"v1": "other"}, "v1", 2) == {"v1": "digest-v1"}
    found = {(one.node, one.version, one.current, one.alive) for one in await reader.version_nodes()}
    assert found == {("first", "v1", True, True), ("second", "v1", False, True), ("second", "v2", True, True)}
