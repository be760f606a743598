"""From the command to the first 200 of ``/readyz``, on an empty, migrated store."""

from __future__ import annotations

import time

from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from bench.service import Service
from rco.measure.usage import cpu_s

__all__ = ["QUESTION"]


async def _ask(round: Round) -> list[Measured]:
    async with round.place() as place:
        service = Service(round.folder / "node", place)
        began = time.perf_counter()
        try:
            await service.begin()
            ready_s = time.perf_counter() - began
            used_s = cpu_s(service.pid)
        finally:
            await service.__aexit__()
    return [Measured(name="start", value=ready_s, settings={"store": "empty, migrated", "cpu_s": used_s})]


QUESTION = Question(
    asked=(Asked(name="start", text="`rco serve` to ready, empty store", unit="s", reach=Reach(0.7, at_most=True)),),
    ask=_ask,
    stores=BOTH,
)
