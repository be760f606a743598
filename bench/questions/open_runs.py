"""Resident memory of ten thousand runs that are open and in memory, each waiting for a signal."""

from __future__ import annotations

import os
from functools import partial

from bench.app import WORKFLOWS
from bench.figure import Asked, Measured
from bench.question import BOTH, Question, Round
from rco.engine.options import EngineOptions
from rco.measure.rig import Rig, side_by_side
from rco.measure.usage import resident_mib

__all__ = ["QUESTION"]


async def _ask(round: Round) -> list[Measured]:
    count = round.count(10_000, least=200)
    # Parking is what keeps them small; here they are to stay.
    options = EngineOptions(park_after_s=3600.0)
    async with round.place() as place, Rig(place, WORKFLOWS, options=options) as rig:
        await side_by_side(100, 100, partial(_opened, rig), rig.meter)
        empty = resident_mib(os.getpid())
        await side_by_side(count, 100, partial(_opened, rig), rig.meter)
        full = resident_mib(os.getpid())
        there = rig.engine.stats().open_in_memory
        assert there == count + 100, f"{there} runs are in memory"
    settings = {"open": count, "park_after_s": 3600, "empty_mib": empty}
    return [Measured(name="open-memory-each", value=(full - empty) * 1024 / count, settings=settings)]


async def _opened(rig: Rig) -> None:
    await rig.start("listener", 1)


QUESTION = Question(
    asked=(Asked(name="open-memory-each", text="resident memory of each of 10 000 open runs", unit="KiB"),),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
