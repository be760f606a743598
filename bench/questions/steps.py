"""Durable steps a second, at 1, 100 and 1000 runs at a time, and what they cost."""

from __future__ import annotations

from functools import partial

from bench.figure import Asked, Measured, Reach
from bench.question import Question, Round
from bench.rig import Rig, side_by_side

__all__ = ["QUESTION"]

STEPS = 10
_RUNS = {1: 300, 100: 4_000, 1000: 6_000}


async def _ask(round: Round) -> list[Measured]:
    measured = []
    for at_a_time, full in _RUNS.items():
        folder = round.folder / str(at_a_time)
        folder.mkdir()
        runs = round.count(full, least=min(at_a_time, 20))
        warm = min(runs, at_a_time)
        async with Rig(folder) as rig:
            one = partial(rig.run, "steps", STEPS)
            await side_by_side(warm, at_a_time, one)
            took_s, cpu_s = await side_by_side(runs, at_a_time, one)
            settings = await rig.finish((runs + warm) * STEPS, runs + warm)
        steps = runs * STEPS
        settings |= {"at_a_time": at_a_time, "steps_per_run": STEPS}
        name, cost = f"steps-{at_a_time}", cpu_s / steps * 1000
        measured.append(Measured(name=name, value=steps / took_s, cpu_s_per_1000=cost, settings=settings))
        measured.append(Measured(name=f"{name}-cpu", value=cost, cpu_s_per_1000=cost, settings=settings))
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
    return tuple(lines)


QUESTION = Question(asked=_asked(), ask=_ask)
