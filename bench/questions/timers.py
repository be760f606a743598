"""A thousand runs that sleep a second, all started at once: how late they wake.

Late is counted from the moment the sleep was due, one second after the workflow asked for it. So making a thousand
sleeps durable in one burst is inside the figure.
"""

from __future__ import annotations

import asyncio

from bench.app import WORKFLOWS
from bench.figure import Asked, Measured, Reach, percentile
from bench.question import BOTH, Question, Round
from rco.measure.rig import Rig

__all__ = ["QUESTION"]

SECONDS = 1.0


async def _ask(round: Round) -> list[Measured]:
    count = round.count(1_000, least=10)
    late_s: list[float] = []
    async with round.place() as place, Rig(place, WORKFLOWS) as rig:
        await rig.run("nap", 0.0)
        rig.engine.timers.on_fired.append(late_s.append)
        cpu = rig.meter.cpu_s()
        await asyncio.gather(*(rig.run("nap", SECONDS) for _ in range(count)))
        cpu_s = rig.meter.cpu_s() - cpu
        settings = await rig.finish(0, count + 1)
    assert len(late_s) == count, f"{len(late_s)} timers fired, {count} were set"
    assert min(late_s) >= 0, "a timer fired early"
    return [
        Measured(
            name=f"timers-p{rank}",
            value=percentile(late_s, rank) * 1e3,
            cpu_s_per_1000=cpu_s / count * 1000,
            settings=settings,
        )
        for rank in (50, 99)
    ]


QUESTION = Question(
    asked=(
        Asked(name="timers-p50", text="1 000 runs sleeping 1 s: lateness p50", unit="ms"),
        Asked(name="timers-p99", text="… p99", unit="ms", reach=Reach(15, at_most=True)),
    ),
    ask=_ask,
    stores=BOTH,
)
