"""The process is killed under load, and started again. For a second before it commits are slow, so that many requests
are under way: what was acknowledged too early is lost then."""

from __future__ import annotations

from rco.drills.drill import NOTHING, UNHURRIED, Drill
from rco.drills.faults import Fault
from rco.drills.stage import Stage

__all__ = ["DRILL"]

_APART_S = 5.0
_BEFORE_S = 1.0
_SLOW_S = 10.0


async def _strike(stage: Stage) -> None:
    for number in range(stage.size.kills):
        if number:
            await stage.rest(_APART_S)
        await stage.fault(Fault(commit_delay_s=_SLOW_S))
        await stage.rest(_BEFORE_S)
        # The fault ends with the process.
        await stage.kill()


DRILL = Drill(
    name="kill",
    about="kill -9 under load, and a start",
    expects="What was acknowledged is there and is done once; service is back in seconds.",
    writes=NOTHING,
    strike=_strike,
    kills=True,
    settings=lambda _: UNHURRIED,
)
