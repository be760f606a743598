"""500 runs of ten steps of 20 ms; the node is killed half-way and started again at once: how much later all are done
than without that, and how many effects ran twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bench.app import STEPS
from bench.figure import Asked, Measured, Reach
from bench.ledger import effects, until_effects
from bench.question import BOTH, Question, Round
from bench.service import Service, send
from rco.measure.rig import durability

__all__ = ["QUESTION"]

_DONE = "closed_run WHERE outcome = 'completed'"


async def _ask(round: Round) -> list[Measured]:
    runs = round.count(500, least=10)
    undisturbed_s, _ = await _one(round, runs, None)
    disturbed_s, settings = await _one(round, runs, _killed)
    settings |= {"runs": runs, "steps_per_run": STEPS, "undisturbed_s": undisturbed_s, "disturbed_s": disturbed_s}
    return [
        Measured(name="restart", value=disturbed_s - undisturbed_s, settings=settings),
        Measured(name="restart-repeated", value=settings["repeated"], settings=settings),
    ]


async def _killed(service: Service, runs: int) -> None:
    await until_effects(service.ledger, runs * STEPS // 2)
    await service.kill()
    await service.begin()


async def _one(
    round: Round, runs: int, disturb: Callable[[Service, int], Awaitable[None]] | None
) -> tuple[float, dict[str, object]]:
    """Seconds from the first effect to the last run's end, and what the ledger says."""
    folder = round.folder / ("disturbed" if disturb else "undisturbed")
    async with round.place() as place, Service(folder, place) as service:
        sending = asyncio.create_task(send(service.port, type="order.placed", prefix="o", connections=64, count=runs))
        await until_effects(service.ledger, 1)
        began = time.perf_counter()
        load = await sending
        assert load.statuses == {202: runs}, load.statuses
        before = sum(effects(service.ledger).values())
        if disturb is not None:
            await disturb(service, runs)
        await service.until(_DONE, runs, within_s=120)
        took_s = time.perf_counter() - began
        found = effects(service.ledger)
        assert len(found) == runs * STEPS, f"{len(found)} different effects, {runs * STEPS} were asked for"
        return took_s, {
            **durability(place),
            "effects_when_all_were_started": before,
            "repeated": sum(found.values()) - len(found),
        }


QUESTION = Question(
    asked=(
        Asked(
            name="restart",
            text="500 runs of 10 steps of 20 ms, kill -9 half-way and restart: done later by",
            unit="s",
            reach=Reach(3, at_most=True),
        ),
        Asked(name="restart-repeated", text="… effects that ran twice, of 5 000", unit="effects"),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
