"""What a run leaves behind when it leaves memory: nothing that only the garbage collector could find."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from rco.engine.options import EngineOptions
from rco.model.run import Outcome
from rco.workflow import Context, workflow

RUNS = 20


@workflow
async def steps(ctx: Context, count: int) -> int:
    for number in range(count):
        await ctx.step(number_of, number)
    return count


@workflow
async def child(ctx: Context, given: int) -> int:
    return await ctx.step(number_of, given)


@workflow
async def family(ctx: Context, given: int) -> Any:
    found = await ctx.gather(ctx.child(child, given), ctx.child(child, given + 1), ctx.step(number_of, 3))
    await ctx.race(ctx.sleep(60), ctx.sleep(0.001))
    return found


@workflow
async def far(ctx: Context, _: Any) -> None:
    await ctx.sleep(3600)


async def number_of(given: int) -> dict[str, int]:
    return {"number": given}


@pytest.fixture
def found() -> Iterator[Counter[str]]:
    """Filled by the last line of a test: what the collector found among what was let go meanwhile, by type."""
    # What other tests left behind: what ends with one round lets go of more.
    while gc.collect():
        pass
    gc.disable()
    names: Counter[str] = Counter()
    yield names
    gc.enable()


def look(names: Counter[str]) -> None:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        names.update(type(one).__name__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


async def test_closed_runs_are_gone_without_the_collector(node: Any, found: Counter[str]) -> None:
    await node.start(steps, family, child)
    for number in range(RUNS):
        assert (await node.run(steps, 3)).outcome is Outcome.COMPLETED
        assert (await node.run(family, number)).outcome is Outcome.COMPLETED
    look(found)
    assert not {name for name in found if name in ("Live", "Machine", "Changes", "Draft", "Context", "coroutine")}, (
        found
    )


@pytest.mark.parametrize("options", [EngineOptions(park_after_s=1)])
async def test_parked_runs_are_gone_without_the_collector(node: Any, found: Counter[str]) -> None:
    await node.start(far)
    for _ in range(RUNS):
        await node.open(far)
    await node.until(lambda: node.engine.stats().parked_since_start == RUNS)
    look(found)
    assert not {name for name in found if name in ("Live", "Machine", "Changes", "Draft", "Context", "coroutine")}, (
        found
    )
