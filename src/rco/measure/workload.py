"""The workflows that are measured."""

from __future__ import annotations

from typing import Any

from rco.workflow import Context, Workflow, workflow

__all__ = ["WORKLOAD", "steps"]

_NOTE = "x" * 100


async def work(number: int) -> dict[str, Any]:
    """A step's result of the usual size: about 200 bytes of journal with its key, fingerprint and time."""
    return {"number": number, "ok": True, "note": _NOTE}


@workflow
async def steps(ctx: Context, count: int) -> int:
    """``count`` durable steps, one after the other."""
    for number in range(count):
        await ctx.step(work, number)
    return count


WORKLOAD: list[Workflow[Any, Any]] = [steps]
