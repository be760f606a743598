"""Paused runs: nothing begins, nothing is lost, and what was kept is seen to when they are resumed."""

from __future__ import annotations

import asyncio

import pytest

from rco.engine.options import EngineOptions
from rco.errors import TimedOut
from rco.kit.backoff import Backoff
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.effect import RetryPolicy
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.workflow import Context, workflow


async def pause(node, run_id: bytes, message_id: str = "") -> None:
    await node.engine.pause(run_id, "why", "test", Decision(verb=Verb.PAUSE, at_us=node.clock.now_us()), message_id)


async def resume(node, run_id: bytes, message_id: str = "") -> None:
    await node.engine.resume(run_id, "go", "test", Decision(verb=Verb.RESUME, at_us=node.clock.now_us()), message_id)


async def paused(node, run_id: bytes) -> None:
    """Wait until it is paused and has left memory."""

    async def is_so() -> bool:
        row = await node.keeper.reader.run(run_id)
        return row.mode is Mode.PAUSED and run_id not in node.engine._owner.live

    await node.until(is_so)


async def kinds(node, run_id: bytes) -> list[str]:
    return [Kind(record.kind).name for record in await node.journal(run_id)]


async def test_a_signal_and_a_deadline_wait_and_the_signal_comes_first(node) -> None:
    @workflow
    async def patient(ctx: Context, given: float) -> str:
        try:
            return await ctx.signal("go", timeout_s=given)
        except TimedOut:
            return "late"

    await node.start(patient)
    run_id = await node.open(patient, 0.3)
    await node.until(lambda: node.engine.stats().open_in_memory == 1)
    await pause(node, run_id)
    await paused(node, run_id)
    assert await node.signal(run_id, "go", "in time")
    due_us = node.clock.now_us() + 400_000
    await node.until(lambda: node.clock.now_us() > due_us)
    assert await kinds(node, run_id) == ["START", "WAIT", "PAUSE"]
    await resume(node, run_id)
    finished = await node.end(run_id)
    assert (finished.outcome, finished.value) == (Outcome.COMPLETED, "in time")
    assert await kinds(node, run_id) == ["START", "WAIT", "PAUSE", "RESUME", "MESSAGE", "CLOSE"]


async def test_what_is_under_way_ends_and_what_follows_does_not_begin(node) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    after: list[str] = []

    async def first() -> int:
        begun.set()
        await go.wait()
        return 1

    async def second() -> int:
        after.append("second")
        return 2

    @workflow
    async def two(ctx: Context, given: None) -> int:
        one = await ctx.step(first, once=True)
        await ctx.emit("between", one)
        return one + await ctx.step(second)

    await node.start(two)
    run_id = await node.open(two)
    await begun.wait()
    await pause(node, run_id)

    async def set_aside() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is Mode.PAUSED

    await node.until(set_aside)
    assert run_id in node.engine._owner.live
    await resume(node, run_id)
    await pause(node, run_id)
    go.set()

    async def set_aside_again() -> bool:
        return (await kinds(node, run_id)).count("PAUSE") == 2

    await node.until(set_aside_again)
    await paused(node, run_id)
    assert not after
    recorded = await kinds(node, run_id)
    assert recorded[:5] == ["START", "STEP_INTENT", "PAUSE", "STEP_END", "RESUME"]
    assert recorded[-1] == "PAUSE"
    assert "EMIT" not in recorded[:5]
    await resume(node, run_id)
    assert (await node.end(run_id)).value == 3
    assert (await kinds(node, run_id)).count("STEP_INTENT") == 1


async def test_a_retry_that_falls_due_waits(node) -> None:
    tries: list[int] = []

    async def fragile() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no")
        return len(tries)

    @workflow
    async def again(ctx: Context, given: None) -> int:
        return await ctx.step(fragile, policy=RetryPolicy(3, Backoff(first_s=0.3, cap_s=0.3)))

    await node.start(again)
    run_id = await node.open(again)
    await node.until(lambda: node.engine.stats().retries == 1)
    await pause(node, run_id)
    await paused(node, run_id)
    due_us = node.clock.now_us() + 500_000
    await node.until(lambda: node.clock.now_us() > due_us)
    assert len(tries) == 1
    await resume(node, run_id)
    assert (await node.end(run_id)).value == 2


async def test_doubt_that_comes_while_it_is_paused_is_kept(node) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def pay() -> None:
        begun.set()
        await go.wait()
        raise TimeoutError("lost")

    @workflow
    async def once(ctx: Context, given: None) -> str:
        return await ctx.step(pay, once=True, timeout_s=0.2)

    await node.start(once)
    run_id = await node.open(once)
    await begun.wait()
    await pause(node, run_id)
    await paused(node, run_id)
    assert "IN_DOUBT" in await kinds(node, run_id)
    await resume(node, run_id)

    async def in_doubt() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is Mode.IN_DOUBT

    await node.until(in_doubt)
    decision = Decision(verb=Verb.SETTLE, at_us=node.clock.now_us())
    await node.engine.settle(run_id, "pay", "done", "paid", "looked", "test", decision)
    assert (await node.end(run_id)).value == "paid"


@pytest.mark.parametrize("options", [EngineOptions(park_after_s=0.0)])
async def test_it_stays_paused_over_a_restart_and_what_was_said_meanwhile_is_heard(node) -> None:
    @workflow
    async def sleeper(ctx: Context, given: float) -> str:
        await ctx.sleep(given)
        return await ctx.signal("go")

    await node.start(sleeper)
    run_id = await node.open(sleeper, 0.2)
    await pause(node, run_id)
    await paused(node, run_id)
    await node.signal(run_id, "go", "kept")
    await node.again()
    due_us = node.clock.now_us() + 300_000
    await node.until(lambda: node.clock.now_us() > due_us)
    assert (await node.keeper.reader.run(run_id)).mode is Mode.PAUSED
    assert (await kinds(node, run_id))[-1] == "PAUSE"
    # Committed, and the process dies before anybody acts on it.
    node.engine._loading.wake = lambda _: None
    await resume(node, run_id)
    await node.again()
    assert (await node.end(run_id)).value == "kept"


async def test_a_child_that_ends_meanwhile_is_not_forgotten(node) -> None:
    @workflow
    async def small(ctx: Context, given: None) -> int:
        return await ctx.signal("done")

    @workflow
    async def big(ctx: Context, given: None) -> int:
        return await ctx.child(small)

    await node.start(small, big)
    run_id = await node.open(big)

    async def opened() -> bool:
        return "CHILD" in await kinds(node, run_id)

    await node.until(opened)
    child = next(record.body[0] for record in await node.journal(run_id) if record.kind == Kind.CHILD)
    await pause(node, run_id)
    await paused(node, run_id)
    await node.signal(child, "done", 7)
    assert (await node.end(child)).value == 7
    await resume(node, run_id)
    assert (await node.end(run_id)).value == 7


async def test_a_request_that_comes_late_a_second_time_changes_nothing(node) -> None:
    @workflow
    async def waits(ctx: Context, given: None) -> None:
        await ctx.signal("done")

    await node.start(waits)
    run_id = await node.open(waits)
    await pause(node, run_id, "p1")
    await paused(node, run_id)
    await resume(node, run_id, "r1")
    await node.until(lambda: run_id in node.engine._owner.live)
    await pause(node, run_id, "p1")
    await pause(node, run_id, "p2")
    await paused(node, run_id)
    await resume(node, run_id, "r1")
    await pause(node, run_id, "p2")

    async def heard() -> bool:
        return not await node.keeper.reader.messages(run_id)

    await node.until(heard)
    assert await kinds(node, run_id) == ["START", "WAIT", "PAUSE", "RESUME", "PAUSE"]
    await resume(node, run_id, "r2")
    await node.signal(run_id, "done")
    assert (await node.end(run_id)).outcome is Outcome.COMPLETED


async def test_a_pause_that_stands_before_the_resume_in_the_inbox_is_not_heard_after_it(node) -> None:
    @workflow
    async def patient(ctx: Context, given: None) -> str:
        return await ctx.signal("go", timeout_s=30)

    await node.start(patient)
    run_id = await node.open(patient)
    await node.until(lambda: node.engine.stats().open_in_memory == 1)
    await pause(node, run_id, "first")
    await paused(node, run_id)
    # Both are there when the run is looked at: the second pause says nothing new.
    await asyncio.gather(pause(node, run_id, "second"), resume(node, run_id, "then"))
    await node.signal(run_id, "go", "on")
    assert (await node.end(run_id)).value == "on"
    assert await kinds(node, run_id) == ["START", "WAIT", "PAUSE", "RESUME", "MESSAGE", "CLOSE"]


class HeldMessages:
    """A reader whose answers about inboxes are given when the test says so; what is read is read at once."""

    def __init__(self, reader) -> None:
        self._reader = reader
        self.asked: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self._over = False

    def __getattr__(self, name: str):
        return getattr(self._reader, name)

    async def messages(self, run_id: bytes):
        found, answer = await self._reader.messages(run_id), asyncio.Event()
        if not self._over:
            self.asked.put_nowait(answer)
            await answer.wait()
        return found

    def let_go(self) -> None:
        """Hold nothing back any more: the engine could not be stopped."""
        self._over = True
        while not self.asked.empty():
            self.asked.get_nowait().set()


async def test_what_comes_while_the_inbox_is_read_is_heard_before_what_comes_after(node, monkeypatch) -> None:
    """A pause that came just too late to be read, and the resume after it: heard first, the resume would be lost."""

    @workflow
    async def patient(ctx: Context, given: None) -> str:
        return await ctx.signal("go", timeout_s=30)

    await node.start(patient)
    run_id = await node.open(patient)
    await node.until(lambda: node.engine.stats().open_in_memory == 1)
    await pause(node, run_id)
    await paused(node, run_id)
    held = HeldMessages(node.keeper.reader)
    monkeypatch.setattr(node.engine._loading, "_reader", held)
    async with asyncio.timeout(10):
        await resume(node, run_id)
        (await held.asked.get()).set()
        # It goes on, and looks once more what came meanwhile.
        looked_again = await held.asked.get()
        await pause(node, run_id)
        looked_again.set()
        third = await held.asked.get()
        await resume(node, run_id)
        third.set()
        await node.signal(run_id, "go", "on")
        finished = asyncio.ensure_future(node.end(run_id))
        while not finished.done():
            asking = asyncio.ensure_future(held.asked.get())
            await asyncio.wait((asking, finished), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                asking.result().set()
            asking.cancel()
    held.let_go()
    assert finished.result().value == "on"
    assert (await kinds(node, run_id)).count("PAUSE") == 2


async def test_terminated_while_paused(node) -> None:
    @workflow
    async def waits(ctx: Context, given: None) -> None:
        await ctx.signal("never")

    await node.start(waits)
    run_id = await node.open(waits)
    await pause(node, run_id)
    await pause(node, run_id)
    await paused(node, run_id)
    row = await node.keeper.reader.run(run_id)
    decision = Decision(verb=Verb.CANCEL, at_us=0, run=id_text(run_id))
    await node.engine.terminate(row, "enough", decision)
    assert (await node.end(run_id)).outcome is Outcome.TERMINATED
    assert (await kinds(node, run_id)) == ["START", "WAIT", "PAUSE", "CLOSE"]
