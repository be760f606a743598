"""Resident memory of the whole service with ten thousand runs parked, each started by a webhook and asleep."""

from __future__ import annotations

import asyncio

from bench.figure import Asked, Measured, Reach
from bench.process import resident_mb
from bench.question import Question, Round
from bench.rig import synchronous
from bench.service import LIMITS, Service, send

__all__ = ["QUESTION"]

_PARKED = "run WHERE mode = 1"


async def _ask(round: Round) -> list[Measured]:
    count = round.count(10_000, least=64)
    async with Service(round.folder) as service:
        empty = resident_mb(service.pid)
        load = await send(service.port, type="invoice.due", prefix="rest", connections=64, count=count)
        assert load.statuses == {202: count}, load.statuses
        await service.until(_PARKED, count)
        # One request more: what the last flush held is let go by then.
        await asyncio.to_thread(service.count, "run")
        full = resident_mb(service.pid)
    settings = {
        "synchronous": synchronous(round.folder),
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
    rounds_max=2,
)
