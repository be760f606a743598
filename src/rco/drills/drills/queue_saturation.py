"""The store takes nothing any more, and the work queue in front of it is small: it fills and stays full."""

from __future__ import annotations

from typing import Any

from rco.drills.drill import Drill
from rco.drills.faults import Fault
from rco.drills.size import Size
from rco.drills.stage import Stage

__all__ = ["DRILL"]

_LIMIT = 64
_FOREVER_S = 3600.0


def _settings(_: Size) -> dict[str, dict[str, Any]]:
    # The queue is what is drilled: the two other signals of the sentinel would come first.
    others = {"error_rate_5m": 1.0, "upstream_p95_ms": 3_600_000}
    return {"engine": {"backlog_limit": _LIMIT}, "brownout": {"thresholds": others}}


async def _strike(stage: Stage) -> None:
    await stage.fault(Fault(commit_delay_s=_FOREVER_S))


async def _lift(stage: Stage) -> None:
    await stage.fault(Fault())


DRILL = Drill(
    name="queue-saturation",
    about=f"the store takes nothing, and the work queue holds {_LIMIT} rows",
    expects="Writes are refused as the queue is full, then brown out over it; reads go on.",
    causes=("queue",),
    strike=_strike,
    lift=_lift,
    settings=_settings,
)
