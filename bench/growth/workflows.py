"""The workflows whose size grows."""

from __future__ import annotations

import os
from typing import Any

from bench.app import WORKFLOWS
from rco.measure.workload import work
from rco.workflow import Context, Workflow, workflow

__all__ = ["GROWING", "heavy", "long"]

_SIDE_BY_SIDE = 100
_BULK = os.urandom(3 << 20).hex()


@workflow
async def long(ctx: Context, count: int) -> int:
    """``count`` steps, a hundred side by side, then a signal."""
    for first in range(0, count, _SIDE_BY_SIDE):
        await ctx.gather(*(ctx.step(work, number) for number in range(first, min(first + _SIDE_BY_SIDE, count))))
    return int(await ctx.signal("go"))


async def bulk(size_bytes: int, number: int) -> str:
    """A result of that size in which nothing repeats, so that no store makes it smaller."""
    return _BULK[number : number + size_bytes]


@workflow
async def heavy(ctx: Context, given: dict[str, Any]) -> int:
    """``count`` steps, one after the other, with results of ``size_bytes``."""
    for number in range(given["count"]):
        await ctx.step(bulk, given["size_bytes"], number)
    return int(given["count"])


GROWING: list[Workflow[Any, Any]] = [*WORKFLOWS, long, heavy]
