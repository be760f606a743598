"""Durable steps a second, at 1, 100 and 1000 runs at a time, what they cost, and what they write."""

from __future__ import annotations

from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from rco.measure.asks import durable_steps

__all__ = ["QUESTION"]

STEPS = 10
_RUNS = {1: 120, 100: 2_000, 1000: 2_000}


async def _ask(round: Round) -> list[Measured]:
    measured = []
    for at_a_time, full in _RUNS.items():
        runs = round.count(full, least=min(at_a_time, 20))
        async with round.place() as place:
            rate = await durable_steps(place, at_a_time, runs, STEPS)
        found = {"": rate.per_s, "-cpu": rate.cpu_s_per_1000, "-written": rate.written_bytes_per_1000 / 1024}
        measured += [
            Measured(
                name=f"steps-{at_a_time}{which}",
                value=value,
                cpu_s_per_1000=rate.cpu_s_per_1000,
                settings=rate.settings,
            )
            for which, value in found.items()
        ]
    return measured


def _asked() -> tuple[Asked, ...]:
    lines = []
    for at_a_time in _RUNS:
        chosen = at_a_time == 100
        lines.append(
            Asked(
                name=f"steps-{at_a_time}",
                text=f"durable steps, {at_a_time} {'run' if at_a_time == 1 else 'runs'} at a time, {STEPS} steps each",
                unit="/s",
                reach=Reach(30_000) if chosen else None,
                reach_on={"postgresql": Reach(25_000)} if chosen else {},
                against=f"bare-{at_a_time}",
                compare="rate",
            )
        )
        lines.append(
            Asked(
                name=f"steps-{at_a_time}-cpu",
                text="… CPU seconds for 1 000 of them",
                unit="s",
                reach=Reach(0.035, at_most=True) if chosen else None,
                against=f"bare-{at_a_time}",
                compare="cpu",
            )
        )
        lines.append(Asked(name=f"steps-{at_a_time}-written", text="… written to files for 1 000", unit="KiB"))
    return tuple(lines)


QUESTION = Question(asked=_asked(), ask=_ask, stores=BOTH)
