"""The same mix: the highest rate that is kept up with nothing refused and a p95 of at most 120 ms. Doubled until it is
not, then halved in between three times; a rate that does not hold is tried once more. What it includes is as in
``mixed``; sender and service share the cores."""

from __future__ import annotations

import asyncio

from bench.bridge import Bridge, whole
from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from rco.drills.load import Came, mixed
from rco.drills.sending import Sending
from rco.measure.rig import durability

__all__ = ["QUESTION"]

P95_MS = 120.0
_FIRST_PER_S, _MOST_PER_S, _HALVINGS = 100.0, 12_800.0, 3
_KEPT = 0.98
"""Of what was asked for in a step, so much must have been answered well."""


async def _ask(round: Round) -> list[Measured]:
    seconds = round.count(4, least=1)
    tried: list[dict[str, float]] = []
    async with round.place() as place, Bridge(round.folder / "node", place) as bridge:

        async def holds(rate: float) -> bool:
            # Once more, if it does not hold: one hiccup of a machine is no limit.
            for _ in range(2):
                came = await _step(bridge, rate, seconds, len(tried))
                told = {"rate_per_s": rate, "p95_ms": came.p95_ms, "good": came.good, "asked": came.asked}
                tried.append(told)
                if _holds(came, rate, seconds):
                    return True
            return False

        kept, rate = 0.0, _FIRST_PER_S
        while rate <= _MOST_PER_S and await holds(rate):
            kept, rate = rate, rate * 2
            if round.scale < 1:
                break
        if 0 < kept < _MOST_PER_S and round.scale >= 1:
            for _ in range(_HALVINGS):
                between = float(int((kept * rate) ** 0.5))
                kept, rate = (between, rate) if await holds(between) else (kept, between)
        told = durability(place)
    settings = {
        **told,
        "p95_ms_at_most": P95_MS,
        "seconds_a_step": seconds,
        "steps": tried,
        "evidence": "on",
        "metrics": "on",
        "capabilities": "enforced",
    }
    return [Measured(name="mixed-most", value=kept, settings=settings)]


async def _step(bridge: Bridge, rate_per_s: float, seconds: float, number: int) -> Came:
    async with Sending(await bridge.way(f"s{number}")) as sending:
        await sending.send(mixed("warm", min(rate_per_s, _FIRST_PER_S)))
        await asyncio.sleep(0.5)
        await sending.send(mixed("load", rate_per_s))
        await asyncio.sleep(seconds)
        return whole(await sending.finish(), "load")


def _holds(came: Came, rate_per_s: float, seconds: float) -> bool:
    return came.good == came.asked and came.asked >= _KEPT * rate_per_s * seconds and came.p95_ms <= P95_MS


QUESTION = Question(
    asked=(
        Asked(
            name="mixed-most",
            text="… the highest rate with p95 of at most 120 ms and nothing refused",
            unit="/s",
            reach=Reach(3_000),
        ),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
