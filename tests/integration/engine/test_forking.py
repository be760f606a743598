"""Forks: what was done before a step is not done again, and the fork is a run of its own."""

from __future__ import annotations

import asyncio

import pytest

from rco.engine.forking import ForkAsk
from rco.errors import ChildFailed, Conflict, NotFound
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.workflow import Context, attempt, workflow


async def fork(node, run_id: bytes, step: str = "", **more):
    row = await node.keeper.reader.run(run_id)
    return await node.engine.fork(row, ForkAsk(step=step, actor="test", **more))


async def reset(node, run_id: bytes, step: str, **more):
    row = await node.keeper.reader.run(run_id)
    decision = Decision(verb=Verb.RESET, at_us=node.clock.now_us())
    return await node.engine.reset(row, ForkAsk(step=step, actor="test", **more), decision)


async def test_a_failed_step_is_tried_again_and_what_had_succeeded_is_not(node) -> None:
    done: list[str] = []
    broken = [True]

    async def do(what: str) -> str:
        done.append(what)
        if what == "b" and broken[0]:
            raise ValueError("no")
        return what.upper()

    @workflow
    async def three(ctx: Context, given: None) -> str:
        return "".join([await ctx.step(do, what, name=what, attempts=1) for what in "abc"])

    await node.start(three)
    run_id = await node.open(three)
    assert (await node.end(run_id)).outcome is Outcome.FAILED
    broken[0] = False
    forked = await fork(node, run_id, key="retry")
    assert forked.created
    assert (await node.end(forked.run_id)).value == "ABC"
    assert done == ["a", "b", "b", "c"]
    again = await fork(node, run_id, key="retry")
    assert (again.created, again.run_id) == (False, forked.run_id)
    with pytest.raises(Conflict, match="another step"):
        await fork(node, run_id, "a", key="retry")
    records = await node.journal(forked.run_id)
    assert records[0].body["origin"] == {"run": run_id, "step": "b", "copied": 2, "ids": [[2, run_id]]}
    assert await node.keeper.reader.forks("default", run_id, 9) == [forked.run_id]
    for step in ("d", "undo/0/x"):
        with pytest.raises(NotFound, match="recorded"):
            await fork(node, run_id, step)
    with pytest.raises(Conflict, match="did not fail"):
        await fork(node, forked.run_id)


async def test_the_code_sees_the_same_time_chance_and_name_in_the_copied_part(node) -> None:
    keys: list[str] = []

    async def note(*_: object) -> str:
        keys.append(attempt().idempotency_key)
        return "noted"

    @workflow
    async def named(ctx: Context, given: None) -> list[str]:
        for number in range(4):
            await ctx.step(note, ctx.run_id, str(ctx.uuid()), ctx.random(), ctx.now().isoformat(), name=f"s{number}")
        return [ctx.run_id]

    await node.start(named)
    first = await node.open(named)
    await node.end(first)
    second = (await fork(node, first, "s2")).run_id
    named_second = (await node.end(second)).value
    third = (await fork(node, second, "s3")).run_id
    fourth = (await fork(node, third, "s1")).run_id
    fifth = (await fork(node, fourth, "s0")).run_id
    values = [(await node.end(run_id)).value for run_id in (third, fourth, fifth)]
    assert len({named_second[0], *(value[0] for value in values)}) == 4
    # Each step that was done anew was done under a key of its own.
    assert len(keys) == len(set(keys)) == 4 + 2 + 1 + 3 + 4
    # A fork of a fork comes through a restart like any other run.
    waiting = (await fork(node, third, "s3")).run_id
    await node.again()
    assert (await node.end(waiting)).value


async def test_what_was_pending_begins_anew(node) -> None:
    @workflow
    async def small(ctx: Context, given: int) -> int:
        return given + await ctx.signal("more")

    @workflow
    async def big(ctx: Context, given: None) -> list[int]:
        first = await ctx.signal("first")

        async def waits() -> int:
            await ctx.sleep(0.05)
            return await ctx.signal("second")

        return [first, *await ctx.gather(ctx.child(small, 1), waits(), ctx.signal("third"))]

    await node.start(small, big)
    run_id = await node.open(big)
    await node.signal(run_id, "first", 5)

    async def slept() -> bool:
        return any(record.kind == Kind.TIMER_FIRED for record in await node.journal(run_id))

    await node.until(slept)
    await node.signal(run_id, "third", 7)

    async def heard() -> bool:
        return any(
            record.key == "signal third" and record.kind == Kind.MESSAGE for record in await node.journal(run_id)
        )

    await node.until(heard)
    forked = (await fork(node, run_id, "gather/1/signal second")).run_id
    await node.signal(forked, "second", 6)
    await node.signal(forked, "third", 8)

    async def child() -> bytes | None:
        return next((r.body[0] for r in await node.journal(forked) if r.kind == Kind.CHILD), None)

    await node.until(child)
    original = next(r.body[0] for r in await node.journal(run_id) if r.kind == Kind.CHILD)
    assert await child() != original
    await node.signal(await child(), "more", 1)
    assert (await node.end(forked)).value == [5, 2, 6, 8]
    assert (await node.keeper.reader.run(run_id)).mode is not Mode.CLOSED


async def test_what_was_undone_is_not_taken_for_done(node) -> None:
    async def do(what: str) -> None:
        if what == "b":
            raise ValueError("no")

    async def undo(ctx: Context) -> None:
        await ctx.step(do, "undone")

    @workflow
    async def careful(ctx: Context, given: None) -> None:
        ctx.compensate(undo)
        await ctx.step(do, "a", name="a")
        await ctx.step(do, "b", name="b", attempts=1)

    await node.start(careful)
    run_id = await node.open(careful)
    await node.end(run_id)
    with pytest.raises(Conflict, match="undone"):
        await fork(node, run_id)
    assert (await fork(node, run_id, "a")).created
    assert (await fork(node, run_id, undone=True)).created


async def test_the_copied_part_must_fit_the_code(node) -> None:
    async def do(what: str) -> str:
        return what

    @workflow
    async def job(ctx: Context, given: None) -> str:
        await ctx.step(do, "a", name="a")
        return await ctx.step(do, "b", name="b")

    before = job

    @workflow  # type: ignore[no-redef]
    async def job(ctx: Context, given: None) -> str:
        await ctx.step(do, "other", name="a")
        return await ctx.step(do, "b", name="b")

    await node.start(before)
    run_id = await node.open(before)
    await node.end(run_id)
    await node.again(job)
    with pytest.raises(Conflict, match="does not fit"):
        await fork(node, run_id, "b")
    assert (await node.end((await fork(node, run_id, "a")).run_id)).value == "b"


async def test_reset_closes_the_old_one_first_and_says_why(node) -> None:
    begun: list[bytes] = []

    async def do() -> int:
        begun.append(b"")
        return len(begun)

    @workflow
    async def job(ctx: Context, given: None) -> list[int]:
        first = await ctx.step(do, name="a")
        second = await ctx.step(do, name="b")
        return [first, second, await ctx.signal("go")]

    await node.start(job)
    run_id = await node.open(job)

    async def waits() -> bool:
        return any(record.kind == Kind.WAIT for record in await node.journal(run_id))

    await node.until(waits)
    with pytest.raises(NotFound):
        await reset(node, run_id, "nothing")
    assert (await node.keeper.reader.run(run_id)).mode is not Mode.CLOSED
    both = await asyncio.gather(reset(node, run_id, "b"), reset(node, run_id, "b"), return_exceptions=True)
    new = next(one for one in both if not isinstance(one, Exception)).run_id
    assert (await reset(node, run_id, "b")).run_id == new
    closed = await node.end(run_id)
    assert (closed.outcome, closed.value["message"]) == (Outcome.TERMINATED, "reset to step b")
    await node.signal(new, "go", 9)
    assert (await node.end(new)).value == [1, 3, 9]


async def test_a_failed_child_is_opened_anew(node) -> None:
    fails = [True]

    async def do() -> int:
        if fails[0]:
            raise ValueError("no")
        return 1

    @workflow
    async def small(ctx: Context, given: None) -> int:
        return await ctx.step(do, attempts=1)

    @workflow
    async def big(ctx: Context, given: None) -> int:
        try:
            return await ctx.child(small)
        except ChildFailed:
            raise RuntimeError("child") from None

    await node.start(small, big)
    run_id = await node.open(big)
    assert (await node.end(run_id)).outcome is Outcome.FAILED
    fails[0] = False
    assert (await node.end((await fork(node, run_id)).run_id)).value == 1
