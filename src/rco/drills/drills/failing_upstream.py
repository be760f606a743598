"""One in twenty things that the bridge asks of what stands behind it fails, and so does every twentieth call."""

from __future__ import annotations

from rco.drills.drill import UNHURRIED, Drill
from rco.drills.faults import Fault
from rco.drills.stage import Stage

__all__ = ["DRILL"]

_SHARE = 0.05


async def _strike(stage: Stage) -> None:
    stage.ledger.errors = _SHARE
    await stage.fault(Fault(errors=_SHARE))


async def _lift(stage: Stage) -> None:
    stage.ledger.errors = 0.0
    await stage.fault(Fault())


DRILL = Drill(
    name="failing-upstream",
    about="5 % of what is asked of store, objects and target fails",
    expects="Writes brown out over the rate of errors; reads are tried again and go on.",
    causes=("error_rate",),
    strike=_strike,
    lift=_lift,
    settings=lambda _: UNHURRIED,
)
