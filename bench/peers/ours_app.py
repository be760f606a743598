"""The workflows that RCO is asked to run."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.peers.contract import NOTE
from rco.workflow import Context, Workflow, workflow

__all__ = ["WORKFLOWS"]

EFFECTS = ""


async def work(number: int) -> dict[str, Any]:
    return {"number": number, "ok": True, "note": NOTE}


async def now() -> float:
    return time.time()


async def effect(run: int, step: int) -> int:
    await asyncio.sleep(0.02)
    with open(EFFECTS, "a") as out:
        out.write(f"{run} {step}\n")
    return step


@workflow
async def steps(ctx: Context, count: int) -> int:
    for number in range(count):
        await ctx.step(work, number)
    return count


@workflow
async def nap(ctx: Context, seconds: float) -> float:
    began = await ctx.step(now)
    await ctx.sleep(seconds)
    return await ctx.step(now) - began - seconds


@workflow
async def crashed(ctx: Context, run: int) -> int:
    for step in range(10):
        await ctx.step(effect, run, step)
    return run


WORKFLOWS: list[Workflow[Any, Any]] = [steps, nap, crashed]
