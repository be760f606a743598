"""A run with a thousand children side by side: from its start to its result."""

from __future__ import annotations

import time

from bench.app import WORKFLOWS
from bench.figure import Asked, Measured
from bench.question import BOTH, Question, Round
from rco.measure.rig import Rig

__all__ = ["QUESTION"]

_TIMES = 3


async def _ask(round: Round) -> list[Measured]:
    children = round.count(1_000, least=5)
    async with round.place() as place, Rig(place, WORKFLOWS) as rig:
        await rig.run("fan", children)
        cpu, began = rig.meter.cpu_s(), time.perf_counter()
        for _ in range(_TIMES):
            await rig.run("fan", children)
        took_s, cpu_s = time.perf_counter() - began, rig.meter.cpu_s() - cpu
        settings = await rig.finish(0, (_TIMES + 1) * (children + 1))
    settings |= {"children": children}
    cost = cpu_s / (_TIMES * children) * 1000
    return [
        Measured(name="fan-out", value=took_s / _TIMES, cpu_s_per_1000=cost, settings=settings),
        Measured(name="fan-out-rate", value=_TIMES * children / took_s, cpu_s_per_1000=cost, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(name="fan-out", text="a run with 1 000 children, start to result", unit="s"),
        Asked(name="fan-out-rate", text="… children opened, run and joined", unit="/s"),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
