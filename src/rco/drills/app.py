"""The application of a drill: each order is booked once, in the ledger of another service."""

from __future__ import annotations

from typing import Any

from rco.workflow import Context, Workflow, workflow

__all__ = ["WORKFLOWS", "book"]


@workflow(on="drill.order")
async def book(ctx: Context, event: dict[str, Any]) -> int:
    """Book an order; gives the number of its entry."""
    answer = await ctx.call("ledger", "POST", "/entries", json={"order": event["id"]})
    return int(answer.body["entry"])


WORKFLOWS: list[Workflow[Any, Any]] = [book]
