"""Code that changed while runs were open: who had passed the place goes the old way, who comes to it goes the new."""

from __future__ import annotations

import asyncio

from rco.engine.program import Programs
from rco.engine.rehearsing import rehearse
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.workflow import Context, workflow

did: list[str] = []


async def do(what: str) -> str:
    did.append(what)
    return what


def old():
    @workflow
    async def ship(ctx: Context, given: str) -> list[str]:
        first = await ctx.step(do, f"{given} pack", name="pack")
        await ctx.signal("go")
        when = ctx.now().isoformat()
        return [first, await ctx.step(do, f"{given} by post {when}", name="send"), await ctx.signal("end")]

    return ship


def new():
    @workflow
    async def ship(ctx: Context, given: str) -> list[str]:
        first = await ctx.step(do, f"{given} pack", name="pack")
        await ctx.signal("go")
        if await ctx.patched("courier"):
            await ctx.step(do, f"{given} call", name="call")
            sent = await ctx.step(do, f"{given} by courier", name="send")
        else:
            when = ctx.now().isoformat()
            sent = await ctx.step(do, f"{given} by post {when}", name="send")
        last = await ctx.signal("end")
        assert await ctx.patched("courier") == sent.endswith("courier")
        return [first, sent, last]

    return ship


async def test_each_run_goes_its_way_in_every_replay(node) -> None:
    did.clear()
    await node.start(old())
    passed, before = await node.open("ship", "a"), await node.open("ship", "b")
    await node.signal(passed, "go")

    async def sent() -> bool:
        return any(record.key == "send" for record in await node.journal(passed))

    await node.until(sent)
    await node.again(new())
    await node.signal(before, "go")

    async def called() -> bool:
        return any(record.key == "send" for record in await node.journal(before))

    await node.until(called)
    await node.again(new())
    for run_id in (passed, before):
        await node.signal(run_id, "end", "end")
    assert (await node.end(passed)).value[1].startswith("a by post ")
    assert (await node.end(before)).value == ["b pack", "b by courier", "end"]
    assert sorted(did) == sorted(set(did))
    assert not any(record.kind == Kind.PATCH for record in await node.journal(passed))
    assert sum(record.kind == Kind.PATCH for record in await node.journal(before)) == 1


async def test_without_the_question_the_run_is_blocked(node) -> None:
    @workflow
    async def ship(ctx: Context, given: str) -> None:
        await ctx.step(do, f"{given} call", name="call")

    await node.start(old())
    run_id = await node.open("ship", "c")

    async def packed() -> bool:
        return any(record.key == "pack" for record in await node.journal(run_id))

    await node.until(packed)
    await node.again(ship)

    async def blocked() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is Mode.BLOCKED

    await node.until(blocked)


async def test_it_must_be_awaited(node) -> None:
    @workflow
    async def careless(ctx: Context, given: None) -> str:
        if ctx.patched("x"):
            return "always"
        return "never"

    await node.start(careless)
    run_id = await node.open(careless)

    async def blocked() -> bool:
        row = await node.keeper.reader.run(run_id)
        return row.mode is Mode.BLOCKED and b"await ctx.patched" in row.detail

    await node.until(blocked)


async def test_a_cancel_in_the_old_way_undoes_what_the_old_way_did(node) -> None:
    did.clear()

    async def undo(ctx: Context, what: str) -> None:
        await ctx.step(do, f"undo {what}")

    @workflow
    async def trip(ctx: Context, given: None) -> None:
        await ctx.step(do, "first", name="first")
        ctx.compensate(undo, "old")
        await ctx.signal("never")

    before = trip

    @workflow  # type: ignore[no-redef]
    async def trip(ctx: Context, given: None) -> None:
        await ctx.step(do, "first", name="first")
        if not await ctx.patched("no undo"):
            ctx.compensate(undo, "old")
            await ctx.signal("never")
        else:
            await ctx.signal("other")

    await node.start(before)
    run_id = await node.open("trip")

    async def waits() -> bool:
        return any(record.kind == Kind.WAIT for record in await node.journal(run_id))

    await node.until(waits)
    await node.cancel(run_id)
    assert (await node.end(run_id)).outcome is Outcome.CANCELLED
    again = await node.open("trip")

    async def waits_again() -> bool:
        return any(record.kind == Kind.WAIT for record in await node.journal(again))

    await node.until(waits_again)
    await node.again(trip)
    await node.cancel(again)
    assert (await node.end(again)).outcome is Outcome.CANCELLED
    assert did == ["first", "undo old"] * 2


async def test_cancelled_before_anything_followed_it_had_passed_the_place(node) -> None:
    did.clear()
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.sleep(3600)

    async def undo(ctx: Context, what: str) -> None:
        await ctx.step(do, f"undo {what}")

    @workflow
    async def trip(ctx: Context, given: None) -> None:
        await ctx.step(do, "first", name="first")
        ctx.compensate(undo, "old")
        await ctx.step(hang)

    before = trip

    @workflow  # type: ignore[no-redef]
    async def trip(ctx: Context, given: None) -> None:
        await ctx.step(do, "first", name="first")
        if not await ctx.patched("no undo"):
            ctx.compensate(undo, "old")
            await ctx.step(hang)

    await node.start(before)
    run_id = await node.open("trip")
    await begun.wait()
    await node.cancel(run_id)
    assert (await node.end(run_id)).outcome is Outcome.CANCELLED
    await node.again(trip)
    row, records = await node.keeper.reader.run(run_id), await node.journal(run_id)
    fit = rehearse(Programs(*node.programs()), row, records)
    assert fit.fits, fit
