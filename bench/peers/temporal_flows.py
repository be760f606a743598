"""Workflows and activities of the worker, in Temporal's own environment."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

from bench.peers.contract import NOTE

__all__ = ["ACTIVITIES", "WORKFLOWS", "Crashed", "Nap", "Steps"]

EFFECTS = ""
_LIMIT = timedelta(seconds=5)
"""After so long an activity whose worker was killed is given to another."""


@activity.defn
async def work(number: int) -> dict[str, Any]:
    return {"number": number, "ok": True, "note": NOTE}


@activity.defn
async def effect(run: int, step: int) -> int:
    await asyncio.sleep(0.02)
    with open(EFFECTS, "a") as out:
        out.write(f"{run} {step}\n")
    return step


@workflow.defn
class Steps:
    @workflow.run
    async def run(self, count: int) -> int:
        for number in range(count):
            await workflow.execute_activity(work, number, start_to_close_timeout=_LIMIT)
        return count


@workflow.defn
class Nap:
    @workflow.run
    async def run(self, seconds: float) -> float:
        # Not replayed while its worker lives, so the clock on the wall tells how late the workflow really went on.
        began = time.time()
        await asyncio.sleep(seconds)
        return time.time() - began - seconds


@workflow.defn
class Crashed:
    @workflow.run
    async def run(self, run: int) -> int:
        for step in range(10):
            await workflow.execute_activity(effect, args=[run, step], start_to_close_timeout=_LIMIT)
        return run


WORKFLOWS = [Steps, Nap, Crashed]
ACTIVITIES = [work, effect]
