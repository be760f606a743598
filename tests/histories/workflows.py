"""What the stored histories were recorded of. Never change what these ask for: a release that does not replay what an
older one recorded would block the runs of its users. Add new ones, and record again under the new release's name."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from rco.errors import ChildFailed, StepFailed, TimedOut
from rco.kit.backoff import Backoff
from rco.model.effect import RetryPolicy
from rco.workflow import Context, attempt, workflow

QUICK = RetryPolicy(3, Backoff(first_s=0.01, cap_s=0.01))
lose = False
"""Whether the step that may not be repeated loses its answer."""


async def echo(value: Any) -> Any:
    return value


def blocking(value: Any) -> Any:
    return [value]


async def fragile(value: Any) -> Any:
    if attempt().number < 2:
        raise ConnectionError("the first never works")
    return value


async def broken() -> None:
    raise ValueError("never works")


async def once() -> str:
    if lose:
        raise TimeoutError("lost")
    return "once"


@workflow
async def h_steps(ctx: Context, given: dict[str, Any]) -> Any:
    told: list[Any] = [await ctx.step(echo, {"n": given["n"], "id": str(ctx.uuid()), "at": ctx.now().isoformat()})]
    told.append(await ctx.step(blocking, ctx.random()))
    told.append(await ctx.step(fragile, ctx.run_id, policy=QUICK))
    try:
        await ctx.step(broken, attempts=1)
    except StepFailed as problem:
        told.append(problem.message)
    await ctx.state("half", told[-1])
    told += [await ctx.step(echo, number) for number in range(3)]
    await ctx.sleep(0.01)
    await ctx.sleep_until(ctx.now() + timedelta(milliseconds=5))
    return told


@workflow
async def h_signals(ctx: Context, given: Any) -> Any:
    first = await ctx.signal("go")
    try:
        await ctx.signal("never", timeout_s=0.02)
    except TimedOut:
        return [first, "late"]


@workflow
async def h_small(ctx: Context, given: int) -> int:
    if given < 0:
        raise ValueError("negative")
    return int(await ctx.step(echo, given + 1))


@workflow
async def h_branches(ctx: Context, given: int) -> Any:
    width = await ctx.map(lambda number: ctx.step(echo, number), range(given), limit=2)
    winner, _ = await ctx.race(ctx.sleep(60), ctx.step(echo, "fast"), ctx.signal("never"))
    with suppress(ChildFailed):
        await ctx.child(h_small, -1)
    both = await ctx.gather(ctx.child(h_small, 1), ctx.step(blocking, 2), ctx.child("h_small", 3))
    return [width, winner, both]


async def undo(ctx: Context, what: str) -> None:
    await ctx.step(echo, f"undone {what}")


@workflow
async def h_undo(ctx: Context, given: str) -> None:
    ctx.compensate(undo, "first")
    await ctx.step(echo, "first")
    ctx.compensate(undo, "second")
    await ctx.step(echo, "second")
    if given == "fail":
        raise RuntimeError("as asked")
    await ctx.signal("never")


@workflow
async def h_once(ctx: Context, given: Any) -> Any:
    return await ctx.step(once, once=True)


@workflow
async def h_told(ctx: Context, given: str) -> str:
    return await ctx.emit("told", {"to": given}, subject=given)


@workflow
async def h_heard(ctx: Context, given: str) -> Any:
    heard = await ctx.wait_for("told", subject=given, where=".data.to != null")
    return heard["data"]["to"]


@workflow
async def h_patched(ctx: Context, given: Any) -> Any:
    way = "new" if await ctx.patched("shorter") else "old"
    await ctx.step(echo, way)
    return [way, await ctx.patched("shorter"), await ctx.patched("other")]


ALL = [h_steps, h_signals, h_small, h_branches, h_undo, h_once, h_told, h_heard, h_patched]
