"""A start reads while runs already move: what was read before a run moved on is never gone on from.

The keeper is the real one. Its reader is held up at one place until the run has done what it does, which is an order
that the threads of a real start bring about by themselves, now and then.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rco.audit.chain import ChainSealer
from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.errors import Conflict
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, decode_segment
from rco.model.run import Mode, Outcome
from rco.store import migrate
from rco.store.sqlite.keeper import SqliteKeeper
from rco.workflow import Context, workflow
from rco.workflow.application import Application


@workflow
async def parent(ctx: Context, given: None) -> Any:
    await ctx.signal("go")
    return await ctx.child("child")


@workflow
async def child(ctx: Context, given: None) -> str:
    await ctx.sleep(0)
    return "done"


@workflow
async def two_naps(ctx: Context, given: None) -> None:
    await ctx.signal("go")
    await ctx.sleep(3600)


class Held:
    """A reader that asks ``hold(name, arguments, answer)`` before it gives an answer."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.hold: Callable[[str, tuple[Any, ...], Any], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._reader, name)

        async def asked(*arguments: Any) -> Any:
            answer = await ask(*arguments)
            if self.hold is not None:
                await self.hold(name, arguments, answer)
            return answer

        return asked


class Node:
    """One life of an engine on a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.closed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def open(self) -> None:
        clock = SystemClock()
        ids = Ids(clock)
        self._executor = ThreadPoolExecutor(1)
        self.keeper = SqliteKeeper(self._path, clock=clock, ids=ids, sealer=ChainSealer(), node="test")
        await self.keeper.start()
        self.reader = Held(self.keeper.reader)
        caller: Any = None
        self.engine = Engine(
            self.keeper.writer,
            self.reader,  # type: ignore[arg-type]
            Programs(Application("test", ".", [parent, child, two_naps]).programs(caller, self._executor)),
            lambda event: Started([], []),
            clock=clock,
            ids=ids,
            random=random.random,
            options=EngineOptions(park_after_s=5),
        )
        self.engine.on_closed(lambda live, *_: self.closed[live.workflow].set())

    async def signal(self, run_id: bytes) -> None:
        await self.engine.signal(run_id, "go", None, "go-1", Decision(verb=Verb.SIGNAL, at_us=1))

    async def kinds(self, run_id: bytes) -> list[Kind]:
        segments = await self.keeper.reader.journal(run_id)
        return [Kind(record.kind) for segment in segments for record in decode_segment(segment.data)]

    async def close(self) -> None:
        self.reader.hold = None
        await self.engine.stop()
        await self.keeper.stop()
        self._executor.shutdown()


@pytest.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Node]]]:
    """Begins lives on one file; the one before is ended first."""
    path = tmp_path / "rco.db"
    migrate.up(path)
    begun: list[Node] = []

    async def begin() -> Node:
        if begun:
            await begun.pop().close()
        node = Node(path)
        await node.open()
        begun.append(node)
        return node

    yield begin
    await begun.pop().close()


async def opened(node: Node, name: str) -> bytes:
    await node.engine.start()
    return (await node.engine.start_run(StartAsk(workflow=name))).run_id


async def test_a_child_opened_and_closed_during_the_start_is_not_run_again(lives: Any) -> None:
    parent_id = await opened(await lives(), "parent")
    node = await lives()
    found: list[bytes] = []

    async def hold(name: str, arguments: tuple[Any, ...], answer: Any) -> None:
        # The page of hot runs that has the child in it comes only when the child has closed.
        if name == "journal" and arguments[0] == parent_id:
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(node.signal(parent_id)))
        if name == "open_runs" and arguments[0] is Mode.HOT and arguments[1] == parent_id:
            while not answer:
                answer += [
                    row
                    for row in await node.keeper.reader.open_runs(Mode.HOT, None, 10, arguments[3])
                    if row.workflow == "child"
                ]
            found.append(answer[0].run_id)
            await node.closed["child"].wait()

    node.reader.hold = hold
    await node.engine.start()
    await node.engine.result(parent_id, 10)
    assert (await node.kinds(found[0])).count(Kind.CLOSE) == 1


async def test_a_run_that_closes_between_its_journal_and_its_replay_is_not_run_again(lives: Any) -> None:
    run_id = await opened(await lives(), "parent")
    node = await lives()
    reads = 0

    async def hold(name: str, arguments: tuple[Any, ...], answer: Any) -> None:
        nonlocal reads
        if name == "journal" and arguments[0] == run_id:
            reads += 1
            if reads == 1:
                # The start has read it and is held up; a signal wakes it meanwhile, and it goes to its end.
                await node.signal(run_id)
                await node.closed["parent"].wait()

    node.reader.hold = hold
    await node.engine.start()
    assert reads == 2
    assert sorted(await node.kinds(run_id)) == sorted(
        (Kind.START, Kind.WAIT, Kind.MESSAGE, Kind.CHILD, Kind.MESSAGE, Kind.CLOSE)
    )
    assert node.engine.stats().open_in_memory == 0


async def test_a_run_that_parks_between_its_journal_and_its_replay_stays_parked(lives: Any) -> None:
    run_id = await opened(await lives(), "two_naps")
    node = await lives()
    reads = 0

    async def parked() -> None:
        while (await node.keeper.reader.run(run_id)).mode is not Mode.PARKED or node.engine.stats().open_in_memory:
            await asyncio.sleep(0.005)

    async def hold(name: str, arguments: tuple[Any, ...], answer: Any) -> None:
        nonlocal reads
        if name == "journal" and arguments[0] == run_id:
            reads += 1
            if reads == 1:
                await node.signal(run_id)
                await asyncio.wait_for(parked(), 10)

    node.reader.hold = hold
    await node.engine.start()
    assert reads == 2
    assert await node.kinds(run_id) == [Kind.START, Kind.WAIT, Kind.MESSAGE, Kind.TIMER_SET]
    # In memory and parked at once, its records would be written under a row that says it sleeps.
    assert node.engine.stats().open_in_memory == 0
    assert (await node.keeper.reader.run(run_id)).mode is Mode.PARKED


async def test_a_run_that_wakes_while_it_is_terminated_closes_once(lives: Any) -> None:
    run_id = await opened(await lives(), "two_naps")
    node = await lives()
    await node.engine.start()
    await node.signal(run_id)
    while (row := await node.keeper.reader.run(run_id)).mode is not Mode.PARKED:
        await asyncio.sleep(0.005)
    decision = Decision(verb=Verb.CANCEL, at_us=1)

    async def meanwhile(name: str, arguments: tuple[Any, ...], _: Any) -> None:
        if name == "journal" and arguments == (run_id,):
            node.reader.hold = None
            await node.engine.cancel(run_id, "asked to", "somebody", decision)
            await node.engine.result(run_id, 30)

    node.reader.hold = meanwhile
    with pytest.raises(Conflict):
        await node.engine.terminate(row, "enough", decision)
    assert (await node.kinds(run_id)).count(Kind.CLOSE) == 1
    assert (await node.keeper.reader.run(run_id)).outcome is Outcome.CANCELLED


async def test_a_run_that_is_closing_is_not_closed_again_by_force(lives: Any) -> None:
    run_id = await opened(await lives(), "two_naps")
    node = await lives()
    await node.engine.start()
    row = await node.keeper.reader.run(run_id)
    decision = Decision(verb=Verb.CANCEL, at_us=1)
    await node.engine.cancel(run_id, "asked to", "somebody", decision)
    # Closed in memory, and not yet in the database.
    with suppress(Conflict):
        await node.engine.terminate(row, "enough", decision)
    await node.engine.result(run_id, 30)
    assert (await node.kinds(run_id)).count(Kind.CLOSE) == 1


async def test_nothing_loads_a_run_that_is_being_terminated(lives: Any) -> None:
    run_id = await opened(await lives(), "two_naps")
    node = await lives()
    await node.engine.start()
    await node.signal(run_id)
    while (row := await node.keeper.reader.run(run_id)).mode is not Mode.PARKED:
        await asyncio.sleep(0.005)
    decision = Decision(verb=Verb.CANCEL, at_us=1)
    read = asyncio.Event()

    async def hold(name: str, arguments: tuple[Any, ...], _: Any) -> None:
        if name == "messages" and arguments == (run_id,):
            read.set()

    node.reader.hold = hold
    ending = asyncio.ensure_future(node.engine.terminate(row, "enough", decision))
    while not node.engine._owner.live.get(run_id):
        await asyncio.sleep(0)
    node.engine.wake(run_id)
    await asyncio.gather(ending, read.wait())
    while node.engine.stats().loading:
        await asyncio.sleep(0.001)
    assert (await node.kinds(run_id))[-1] is Kind.CLOSE
    assert (await node.keeper.reader.run(run_id)).outcome is Outcome.TERMINATED
    assert node.engine.stats().open_in_memory == 0
