"""One limit for many tasks."""

from __future__ import annotations

import asyncio

import pytest

from rco.server.deadlines import Deadlines


async def inside(deadlines: Deadlines, wait: asyncio.Event) -> str:
    task = deadlines.begin()
    try:
        await wait.wait()
    except asyncio.CancelledError:
        if deadlines.passed(task):
            return "late"
        raise
    finally:
        deadlines.end(task)
    return "done"


async def test_who_stays_too_long_is_called_out_and_who_does_not_is_not() -> None:
    deadlines = Deadlines(0.05)
    never, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    for _ in range(3):  # also after all have gone and others come
        tasks = [asyncio.create_task(inside(deadlines, at_once if n % 2 else never)) for n in range(20)]
        assert await asyncio.gather(*tasks) == ["late", "done"] * 10
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_somebody_else_s_cancellation_stays_theirs() -> None:
    deadlines = Deadlines(60.0)
    task = asyncio.create_task(inside(deadlines, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_is_somebody_else_s() -> None:
    deadlines = Deadlines(0.0)
    task = asyncio.create_task(inside(deadlines, asyncio.Event()))
    await asyncio.sleep(0)
    deadlines._ring()  # in the turn in which somebody else has the same idea
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
