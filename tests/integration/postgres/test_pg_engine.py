"""Engines on several nodes: a run goes on where its owner died, and asks for it reach its owner from any node."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.forking import ForkAsk
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.errors import StoreError
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.run import Mode, Outcome, shard_of
from rco.workflow import Context, workflow
from rco.workflow.application import Application

RAN: list[tuple[str, int]] = []


async def note(what: str, at: int) -> int:
    RAN.append((what, at))
    return at


@workflow
async def naps(ctx: Context, given: dict[str, Any]) -> int:
    await ctx.step(note, given["name"], 1)
    await ctx.sleep(given["s"])
    return await ctx.step(note, given["name"], 2)


@workflow
async def listens(ctx: Context, name: str) -> Any:
    await ctx.step(note, name, 1)
    first = await ctx.signal("go")
    return [await ctx.step(note, name, 2), first]


class Forgetful:
    """A reader whose next answers to the questions in ``fails`` are errors, so many of each."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.fails: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._reader, name)

        async def asked(*arguments: Any) -> Any:
            if self.fails.get(name, 0) > 0:
                self.fails[name] -= 1
                raise StoreError("away")
            return await ask(*arguments)

        return asked


class Serving:
    """A keeper with an engine on it."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.reader = Forgetful(node.reader)
        self.executor = ThreadPoolExecutor(2)
        programs = Application("test", ".", [naps, listens]).programs(None, self.executor)
        self.engine = Engine(
            node.writer,
            self.reader,  # type: ignore[arg-type]
            Programs(programs),
            lambda _: Started([], []),
            clock=node.clock,
            ids=Ids(node.clock),
            random=random.random,
            # Waits leave memory at once; whoever looks for due timers only now and then would be minutes late.
            options=EngineOptions(park_after_s=0.05, timer_window_s=600.0),
            ownership=node.ownership,
        )
        node.keeper.on_mail(self.engine.wake)

    async def start(self) -> None:
        await self.node.keeper.start()
        await self.engine.start()

    async def open(self, name: str, given: Any) -> bytes:
        return (await self.engine.start_run(StartAsk(workflow=name, input=given))).run_id

    async def stop(self) -> None:
        await self.engine.stop()
        await self.node.keeper.stop()
        self.executor.shutdown()


@pytest.fixture
async def serve(make_node: Any) -> AsyncIterator[Callable[[str], Any]]:
    RAN.clear()
    made: list[Serving] = []

    async def make(name: str) -> Serving:
        made.append(Serving(make_node(name)))
        await made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def test_parked_and_hot_runs_of_a_killed_node_go_on_elsewhere(serve: Any, kill: Any) -> None:
    one, two = await serve("a"), await serve("b")
    await two.node.until(lambda: bool(two.node.ownership.shards()))
    waiting = [await one.open("listens", f"l{at}") for at in range(4)]
    napping = [await one.open("naps", {"name": f"n{at}", "s": 2.5}) for at in range(4)]
    assert all(one.node.ownership.owns(shard_of(run_id)) for run_id in waiting + napping)
    # All first steps are recorded; a step that ran unrecorded would rightly run again.
    while (await two.node.reader.count_open())[Mode.PARKED] < 4:
        await asyncio.sleep(0.01)
    kill(one.node)
    await two.node.until(lambda: len(two.node.ownership.shards()) == 256)
    decision = Decision(verb=Verb.SIGNAL, at_us=1)
    for run_id in waiting:
        await two.engine.signal(run_id, "go", "now", "m", decision)
    for run_id in waiting:
        finished = await two.engine.result(run_id, 30)
        assert (finished.outcome, finished.value) == (Outcome.COMPLETED, [2, "now"])
    for run_id in napping:
        finished = await two.engine.result(run_id, 30)
        assert (finished.outcome, finished.value) == (Outcome.COMPLETED, 2)
    ran = [(what, step) for what, step in RAN if what.startswith("n")]
    assert sorted(ran) == [(f"n{at}", step) for at in range(4) for step in (1, 2)]


async def test_a_signal_reaches_the_owner_from_any_node(serve: Any) -> None:
    one, two = await serve("a"), await serve("b")
    await two.node.until(lambda: bool(two.node.ownership.shards()))
    run_id = await two.open("listens", "x")
    while ("x", 1) not in RAN:
        await asyncio.sleep(0.005)
    assert not one.node.ownership.owns(shard_of(run_id))
    await one.engine.signal(run_id, "go", {"from": "a"}, "m1", Decision(verb=Verb.SIGNAL, at_us=1))
    finished = await one.engine.result(run_id, 30)
    assert finished.outcome is Outcome.COMPLETED
    assert msgspec.to_builtins(finished.value)[0] == 2


async def test_runs_go_on_through_a_planned_hand_over(serve: Any) -> None:
    """Runs are opened all the while a second node comes and the first one goes."""
    one = await serve("a")
    opened = [await one.open("naps", {"name": f"a{at}", "s": 0.3}) for at in range(40)]
    two = await serve("b")
    opened += [await one.open("naps", {"name": f"b{at}", "s": 0.2}) for at in range(40)]
    await two.node.until(lambda: bool(two.node.ownership.shards()))
    opened += [await two.open("naps", {"name": f"c{at}", "s": 0.1}) for at in range(40)]
    await one.stop()
    await two.node.until(lambda: len(two.node.ownership.shards()) == 256)
    for run_id in opened:
        finished = await two.engine.result(run_id, 30)
        assert (finished.outcome, finished.value) == (Outcome.COMPLETED, 2)
    assert sorted(step for _, step in RAN).count(2) >= len(opened)


async def in_mode(serving: Any, run_id: bytes, mode: Mode) -> None:
    async with asyncio.timeout(30):
        while (await serving.node.reader.run(run_id)).mode is not mode:
            await asyncio.sleep(0.01)


async def test_paused_from_another_node_and_resumed_after_its_owner_died(serve: Any, kill: Any) -> None:
    one, two = await serve("a"), await serve("b")
    await two.node.until(lambda: bool(two.node.ownership.shards()))
    run_id = await one.open("listens", "p")
    await in_mode(one, run_id, Mode.PARKED)
    assert not two.node.ownership.owns(shard_of(run_id))
    await two.engine.pause(run_id, "why", "test", Decision(verb=Verb.PAUSE, at_us=1))
    await in_mode(two, run_id, Mode.PAUSED)
    await two.engine.signal(run_id, "go", "kept", "m", Decision(verb=Verb.SIGNAL, at_us=1))
    kill(one.node)
    await two.node.until(lambda: len(two.node.ownership.shards()) == 256)
    assert await two.engine.result(run_id, 0.5) is None
    await two.engine.resume(run_id, "go", "test", Decision(verb=Verb.RESUME, at_us=1))
    finished = await two.engine.result(run_id, 30)
    assert (finished.outcome, finished.value) == (Outcome.COMPLETED, [2, "kept"])


async def test_forked_and_reset_from_another_node(serve: Any) -> None:
    one, two = await serve("a"), await serve("b")
    await two.node.until(lambda: bool(two.node.ownership.shards()))
    run_id = await one.open("listens", "f")
    await in_mode(one, run_id, Mode.PARKED)
    row = await two.node.reader.run(run_id)
    assert not two.node.ownership.owns(shard_of(run_id))
    fork = (await two.engine.fork(row, ForkAsk(step="signal go"))).run_id
    new = (await two.engine.reset(row, ForkAsk(step="signal go"), Decision(verb=Verb.RESET, at_us=1))).run_id
    finished = await one.engine.result(run_id, 30)
    assert (finished.outcome, finished.value["message"]) == (Outcome.TERMINATED, "reset to step signal go")
    assert sorted(await two.node.reader.forks("default", run_id, 9)) == sorted([fork, new])
    for at, went_on in enumerate((fork, new)):
        assert two.node.ownership.owns(shard_of(went_on))
        await one.engine.signal(went_on, "go", at, "m", Decision(verb=Verb.SIGNAL, at_us=1))
        finished = await one.engine.result(went_on, 30)
        assert (finished.outcome, finished.value) == (Outcome.COMPLETED, [2, at])
    # The first step was done once, by the run that they are forks of.
    assert [at for what, at in RAN if what == "f"].count(1) == 1


async def test_runs_are_taken_over_although_reading_them_fails_at_first(serve: Any, kill: Any) -> None:
    """The database is away for longer than a read waits, at the moment of a take-over."""
    one, two = await serve("a"), await serve("b")
    await two.node.until(lambda: bool(two.node.ownership.shards()))
    waiting = await one.open("listens", "l")
    napping = await one.open("naps", {"name": "n", "s": 2.5})
    while (await two.node.reader.count_open())[Mode.PARKED] < 1:
        await asyncio.sleep(0.01)
    two.reader.fails = {"open_runs": 2, "due": 2, "messages": 2, "journal": 1}
    kill(one.node)
    await two.node.until(lambda: len(two.node.ownership.shards()) == 256)
    await two.engine.signal(waiting, "go", "now", "m", Decision(verb=Verb.SIGNAL, at_us=1))
    assert (await two.engine.result(waiting, 30)).value == [2, "now"]
    assert (await two.engine.result(napping, 30)).value == 2
    assert not any(two.reader.fails.values())
    # Nobody has to guess that it did.
    assert two.engine.stats().reads_failed == 7


async def test_a_run_whose_shard_went_and_came_back_before_its_commit_was_answered_begins(serve: Any) -> None:
    one = await serve("a")
    opening = one.engine.prepare(StartAsk(workflow="naps", input={"name": "n", "s": 0.0}))
    shard = shard_of(opening.row.run_id)

    def opened(changes: Any) -> None:
        changes.opened.append(opening.row)
        changes.opened_segments.append((opening.row.run_id, opening.segment))

    # Who loaded the shard when it came back had looked before this commit.
    one.node.ownership.again(frozenset({shard}))
    while one.engine._gaining:
        await asyncio.sleep(0)
    await one.node.commit(opened, shard)
    one.engine.begin(opening)
    assert (await one.engine.result(opening.row.run_id, 30)).outcome is Outcome.COMPLETED
