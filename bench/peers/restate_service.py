"""What the Restate server calls: served by granian in its own environment."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from typing import Any

import restate

from bench.peers.contract import NOTE

__all__ = ["app"]

_service = restate.Service("Bench")


async def _work(number: int) -> dict[str, Any]:
    return {"number": number, "ok": True, "note": NOTE}


async def _now() -> float:
    return time.time()


async def _effect(run: int, step: int) -> int:
    await asyncio.sleep(0.02)
    with open(os.environ["BENCH_EFFECTS"], "a") as out:
        out.write(f"{run} {step}\n")
    return step


@_service.handler()
async def steps(ctx: restate.Context, count: int) -> int:
    for number in range(count):
        await ctx.run_typed("work", _work, number=number)
    return count


@_service.handler()
async def nap(ctx: restate.Context, seconds: float) -> float:
    began = await ctx.run_typed("now", _now)
    await ctx.sleep(timedelta(seconds=seconds))
    return time.time() - began - seconds


@_service.handler()
async def crashed(ctx: restate.Context, run: int) -> int:
    for step in range(10):
        await ctx.run_typed("effect", _effect, run=run, step=step)
    return run


app = restate.app([_service])
