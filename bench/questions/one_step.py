"""From start to result of a run of one step, one at a time."""

from __future__ import annotations

import time

from bench.figure import Asked, Measured, Reach, percentile
from bench.question import Question, Round
from bench.rig import Rig

__all__ = ["QUESTION"]

WARM = 20


async def _ask(round: Round) -> list[Measured]:
    count = round.count(1_000, least=10)
    took_ms: list[float] = []
    async with Rig(round.folder) as rig:
        for _ in range(WARM):
            await rig.run("steps", 1)
        cpu = time.process_time()
        for _ in range(count):
            began = time.perf_counter()
            await rig.run("steps", 1)
            took_ms.append((time.perf_counter() - began) * 1e3)
        cpu_s = time.process_time() - cpu
        settings = await rig.finish(count + WARM, count + WARM)
    return [
        Measured(
            name=f"one-step-p{rank}",
            value=percentile(took_ms, rank),
            cpu_s_per_1000=cpu_s / count * 1000,
            settings=settings,
        )
        for rank in (50, 99)
    ]


QUESTION = Question(
    asked=(
        Asked(
            name="one-step-p50",
            text="start to result of a one-step run, one at a time, p50",
            unit="ms",
            reach=Reach(1.2, at_most=True),
            against="bare-1",
            compare="wait",
        ),
        Asked(name="one-step-p99", text="… p99", unit="ms", against="bare-1", compare="wait"),
    ),
    ask=_ask,
)
