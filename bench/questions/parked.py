"""Resident memory of the whole service with ten thousand runs parked, each started by a webhook and asleep."""

from __future__ import annotations

from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from bench.service import LIMITS, Service, send
from rco.measure.rig import durability
from rco.measure.usage import resident_mib

__all__ = ["QUESTION"]

_PARKED = "run WHERE mode = 1"


async def _ask(round: Round) -> list[Measured]:
    count = round.count(10_000, least=64)
    async with round.place() as place, Service(round.folder / "node", place) as service:
        empty = resident_mib(service.pid)
        load = await send(service.port, type="invoice.due", prefix="rest", connections=64, count=count)
        assert load.statuses == {202: count}, load.statuses
        await service.until(_PARKED, count)
        # One request more: what the last flush held is let go by then.
        await service.count("run")
        full = resident_mib(service.pid)
        told = durability(place)
    settings = {
        **told,
        "limits": LIMITS,
        "parked": count,
        "empty_mib": float(f"{empty:.1f}"),
    }
    return [
        Measured(name="parked-memory", value=full, settings=settings),
        Measured(name="parked-memory-each", value=(full - empty) * 1024 / count, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(
            name="parked-memory",
            text="resident memory of the service, 10 000 runs parked",
            unit="MiB",
            reach=Reach(150, at_most=True),
        ),
        Asked(name="parked-memory-each", text="… above that of the empty service, for each", unit="KiB"),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
