"""The application that is measured."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from rco.measure.workload import WORKLOAD
from rco.workflow import Context, Workflow, workflow

__all__ = ["LEDGER", "WORKFLOWS", "invoice", "nap", "order", "rest"]

LEDGER = "BENCH_LEDGER"
"""Names the file that effects of ``order`` are counted in."""
STEPS, STEP_S = 10, 0.02


@workflow
async def nap(ctx: Context, seconds: float) -> None:
    """One durable sleep."""
    await ctx.sleep(seconds)


@workflow(on="invoice.paid")
async def invoice(_: Context, event: dict[str, Any]) -> str:
    """What an accepted webhook starts: a run of its own, which reads the event and closes."""
    return str(event["data"]["id"])


@workflow(on="invoice.due")
async def rest(ctx: Context, event: dict[str, Any]) -> str:
    """A run that waits for an hour, as one that awaits a deadline does."""
    await ctx.sleep(3600)
    return str(event["id"])


async def effect(name: str, number: int) -> int:
    """Work of 20 ms that leaves a line behind, so that what ran can be counted over crashes."""
    await asyncio.sleep(STEP_S)
    handle = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{name} {number}\n".encode())
    os.close(handle)
    return number


@workflow(on="invoice.counted")
async def counted(ctx: Context, _: dict[str, Any]) -> int:
    """Calls a target until it says that it is over."""
    calls = 0
    while True:
        calls += 1
        if (await ctx.call("counted", "POST", "/count", json=calls)).body["over"]:
            return calls


@workflow(on="order.placed")
async def order(ctx: Context, event: dict[str, Any]) -> int:
    """Ten effects, one after the other."""
    for number in range(STEPS):
        await ctx.step(effect, str(event["id"]), number)
    return STEPS


@workflow
async def leaf(_: Context, number: int) -> int:
    """A child that has nothing to do."""
    return number


@workflow
async def fan(ctx: Context, count: int) -> int:
    """``count`` children side by side."""
    return sum(await ctx.gather(*(ctx.child("leaf", number) for number in range(count))))


@workflow
async def listener(ctx: Context, count: int) -> int:
    """Takes ``count`` signals, one after the other."""
    for _ in range(count):
        await ctx.signal("tick")
    return count


@workflow
async def caller(ctx: Context, count: int) -> int:
    """``count`` governed calls, one after the other."""
    for number in range(count):
        await ctx.call("peer", "POST", "/charge", json={"number": number})
    return count


WORKFLOWS: list[Workflow[Any, Any]] = [*WORKLOAD, nap, invoice, rest, order, leaf, fan, listener, caller, counted]
