"""The application of the crash tests of large payloads: input, state, result, signal and what a step gives are too
large."""

from __future__ import annotations

from typing import Any

from tests.crash.app import book

from rco.workflow import Backoff, Context, RetryPolicy, workflow

OFTEN = RetryPolicy(40, Backoff(first_s=0.02, cap_s=0.2))


def weighty(order: str, pad: str) -> dict[str, Any]:
    return {"done": book("weighed", order)["order"], "pad": pad}


@workflow
async def weigh(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    done = await ctx.step(weighty, given["order"], given["pad"], policy=OFTEN)
    await ctx.state("weighed", {"order": done["done"], "pad": done["pad"]})
    more = await ctx.signal("more")
    return {"order": done["done"], "pad": done["pad"], "more": more}
