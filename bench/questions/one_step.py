"""From start to result of a run of one step, one at a time."""

from __future__ import annotations

from bench.figure import Asked, Measured, Reach, percentile
from bench.question import BOTH, Question, Round
from rco.measure.asks import one_step_runs

__all__ = ["QUESTION"]


async def _ask(round: Round) -> list[Measured]:
    async with round.place() as place:
        waits = await one_step_runs(place, round.count(700, least=10))
    return [
        Measured(
            name=f"one-step-p{rank}",
            value=percentile(waits.took_ms, rank),
            cpu_s_per_1000=waits.cpu_s_per_1000,
            settings=waits.settings,
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
    stores=BOTH,
)
