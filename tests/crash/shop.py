"""The application of the crash tests of transactional steps: its rows are in a database of its own."""

from __future__ import annotations

from typing import Any

from rco.workflow import Backoff, Context, RetryPolicy, workflow

OFTEN = RetryPolicy(40, Backoff(first_s=0.02, cap_s=0.2))


async def pay(tx: Any, order: str) -> dict[str, Any]:
    """No unique index: a second time would show."""
    number = await tx.fetchval("INSERT INTO paid (order_id) VALUES ($1) RETURNING number", order)
    return {"order": order, "number": number}


@workflow
async def buy(ctx: Context, order: str) -> Any:
    return await ctx.transaction(pay, order, database="shop", policy=OFTEN)


@workflow
async def order(ctx: Context, given: dict[str, Any]) -> Any:
    """Started by the outbox: takes as many signals as it is told to."""
    return [await ctx.signal("go") for _ in range(given["count"])]
