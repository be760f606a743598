"""The application that is measured."""

from __future__ import annotations

from typing import Any

from rco.workflow import Context, Workflow, workflow

__all__ = ["WORKFLOWS", "invoice", "nap", "rest", "steps"]

NOTE = "x" * 100


async def work(number: int) -> dict[str, Any]:
    """A step's result of the usual size: about 200 bytes of journal with its key, fingerprint and time."""
    return {"number": number, "ok": True, "note": NOTE}


@workflow
async def steps(ctx: Context, count: int) -> int:
    """``count`` durable steps, one after the other."""
    for number in range(count):
        await ctx.step(work, number)
    return count


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


WORKFLOWS: list[Workflow[Any, Any]] = [steps, nap, invoice, rest]
