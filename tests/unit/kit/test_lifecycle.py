"""Stopping is over when nothing runs any more."""

import asyncio

from rco.kit.lifecycle import stop_task


async def test_it_waits_until_the_task_has_cleaned_up() -> None:
    begun, done = asyncio.Event(), []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    task = asyncio.create_task(work())
    await begun.wait()
    await stop_task(task)
    assert done == ["cleaned up"]
    assert task.cancelled()


async def test_what_never_was_or_has_ended_may_be_stopped() -> None:
    async def fails() -> None:
        raise RuntimeError("its own affair")

    await stop_task(None)
    task = asyncio.create_task(fails())
    await stop_task(task)
    await stop_task(task)
    assert task.done()
    assert task.cancelled() or task.exception() is not None
