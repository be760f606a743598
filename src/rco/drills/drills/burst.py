"""Ten times as many webhooks as usual, and more than three times as many as the token bucket lets in."""

from __future__ import annotations

from typing import Any

from rco.drills.drill import UNHURRIED, Drill
from rco.drills.load import Load
from rco.drills.size import Size

__all__ = ["DRILL"]

_TIMES = 10
_GET, _WEBHOOK, _PUT = 0.5, 0.3, 0.2
_ROOM = 3.0
"""How many times the usual rate the bucket lets in."""


def _settings(size: Size) -> dict[str, dict[str, Any]]:
    usual = size.rate_per_s * _WEBHOOK
    return {**UNHURRIED, "limits": {"max_rps": usual * _ROOM, "burst_rps": max(1, round(usual))}}


def _under(size: Size) -> Load:
    whole = _GET + _WEBHOOK * _TIMES + _PUT
    return Load(
        phase="fault",
        rate_per_s=size.rate_per_s * whole,
        get=_GET / whole,
        webhook=_WEBHOOK * _TIMES / whole,
        put=_PUT / whole,
    )


DRILL = Drill(
    name="burst",
    about=f"{_TIMES} times as many webhooks as usual",
    expects="What is above the token bucket is refused with the time to wait; what fits, and reads, go on.",
    writes="RATE_LIMIT",
    under=_under,
    settings=_settings,
    anywhere=True,
)
