"""Signals to a hundred runs: each is durable before it is acknowledged, taken once, and the next one follows it."""

from __future__ import annotations

import asyncio
import time

from bench.app import WORKFLOWS
from bench.figure import Asked, Measured, percentile
from bench.question import BOTH, Question, Round
from rco.kit.clock import SystemClock
from rco.kit.ids import id_text
from rco.measure.rig import Rig
from rco.model.decision import Decision, Verb

__all__ = ["QUESTION"]

_RUNS = 100


async def _ask(round: Round) -> list[Measured]:
    each = round.count(60, least=2)
    clock, waits_ms = SystemClock(), []
    async with round.place() as place, Rig(place, WORKFLOWS) as rig:

        async def feed(run_id: bytes) -> None:
            for number in range(each):
                began = time.perf_counter()
                decision = Decision(verb=Verb.SIGNAL, at_us=clock.now_us(), actor="bench", run=id_text(run_id))
                await rig.engine.signal(run_id, "tick", number, f"m{number}", decision)
                waits_ms.append((time.perf_counter() - began) * 1e3)

        runs = [await rig.start("listener", each) for _ in range(_RUNS)]
        cpu, began = rig.meter.cpu_s(), time.perf_counter()
        await asyncio.gather(*(feed(run_id) for run_id in runs))
        await asyncio.gather(*(rig.result(run_id) for run_id in runs))
        took_s, cpu_s = time.perf_counter() - began, rig.meter.cpu_s() - cpu
        settings = await rig.finish(0, _RUNS)
    count = _RUNS * each
    cost = cpu_s / count * 1000
    return [
        Measured(name="signals", value=count / took_s, cpu_s_per_1000=cost, settings=settings),
        Measured(name="signals-p99", value=percentile(waits_ms, 99), cpu_s_per_1000=cost, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(name="signals", text="signals sent and taken, 100 runs at a time", unit="/s"),
        Asked(name="signals-p99", text="… acknowledged after, p99", unit="ms"),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
