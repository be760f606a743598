"""Two nodes on one PostgreSQL: one gives the turns, both run, and no limit is passed when it is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rco.model.queue import Queue, queue_shard
from rco.model.run import Mode, Outcome, shard_of


@pytest.fixture
def home(postgres_home: Any) -> Any:
    return postgres_home


async def both(nodes: Any, **more: Any) -> tuple[Any, Any]:
    """(who owns the queue, the other), each with shards of its own."""
    first, second = await nodes("node-1", **more), await nodes("node-2", **more)

    async def shared() -> bool:
        return all(one.keeper.ownership.shards() for one in (first, second))

    await first.until(shared)
    mine = first.keeper.ownership.owns(queue_shard("q"))
    return (first, second) if mine else (second, first)


async def test_both_nodes_run_what_one_gives_turns_to(nodes: Any) -> None:
    owner, other = await both(nodes, queues={"q": Queue(concurrency=3)})
    runs = [await (owner, other)[number % 2].open() for number in range(8)]
    assert {owner.keeper.ownership.owns(shard_of(run_id)) for run_id in runs} == {True, False}

    async def running() -> list[bytes]:
        return [run_id for run_id in runs if await owner.mode(run_id) is Mode.HOT]

    left = set(runs)
    while left:
        now = [one for one in await running() if one in left]
        assert (await owner.counted()).running <= 3
        if not now:
            await asyncio.sleep(0.01)
            continue
        for run_id in now:
            await other.go(run_id)
            finished = await owner.engine.result(run_id, 20)
            assert finished is not None
            assert finished.outcome is Outcome.COMPLETED
            left.discard(run_id)
    assert (await owner.counted()).running == 0


async def test_permits_are_counted_by_who_takes_over(nodes: Any) -> None:
    owner, other = await both(nodes, queues={"q": Queue(concurrency=2)})
    runs = [await other.open() for _ in range(4)]
    await other.is_in(Mode.HOT, *runs[:2])
    await owner.stop()

    async def taken() -> bool:
        lines = other.dispatcher.lines()
        return bool(lines) and all(line.ready for line in lines)

    await other.until(taken)
    # Whatever it has heard by now, two run and two wait.
    assert len(other.dispatcher.lines()[0].running) == 2
    assert (await other.counted()).running == 2
    await other.go(runs[0])
    await other.is_in(Mode.HOT, runs[2])
    assert (await other.counted()).running == 2
    owner.stop = _done


async def _done() -> None:
    """It has stopped already."""
