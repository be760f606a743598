"""The service's own clock jumps ten minutes ahead, then to ten minutes behind. The machine's clock is left alone."""

from __future__ import annotations

from rco.drills.drill import UNHURRIED, Drill
from rco.drills.faults import Fault
from rco.drills.stage import Stage

__all__ = ["DRILL"]

_SKEW_S = 600.0


async def _strike(stage: Stage) -> None:
    await stage.fault(Fault(skew_s=_SKEW_S))
    await stage.rest(stage.size.fault_s / 2)
    await stage.fault(Fault(skew_s=-_SKEW_S))
    stage.moment("the clock jumps back by 20 minutes")


async def _lift(stage: Stage) -> None:
    await stage.fault(Fault())


DRILL = Drill(
    name="process-skew",
    about="the service's clock is 10 min ahead, then 10 min behind",
    expects="Webhooks with a signed time are refused, reads go on, and no run is lost or done twice by it.",
    writes="POLICY_BLOCKED",
    strike=_strike,
    lift=_lift,
    skewed_s=2 * _SKEW_S,
    settings=lambda _: UNHURRIED,
)
