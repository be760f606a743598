"""Everything behind the bridge takes 300 ms longer: the store, the objects, the service that runs call."""

from __future__ import annotations

from rco.drills.drill import Drill
from rco.drills.faults import Fault
from rco.drills.stage import Stage

__all__ = ["DRILL"]

_DELAY_S = 0.3


async def _strike(stage: Stage) -> None:
    stage.ledger.delay_s = _DELAY_S
    await stage.fault(Fault(delay_s=_DELAY_S))


async def _lift(stage: Stage) -> None:
    stage.ledger.delay_s = 0.0
    await stage.fault(Fault())


DRILL = Drill(
    name="slow-upstream",
    about="store, objects and target take 300 ms longer",
    expects="Writes brown out over the time that the store takes; reads are slower and go on.",
    causes=("upstream_p95",),
    strike=_strike,
    lift=_lift,
)
