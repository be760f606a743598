"""How large a drill is."""

from __future__ import annotations

import msgspec

__all__ = ["FULL", "RECOVERY_MAX_S", "SHORT", "Size"]

RECOVERY_MAX_S = 300.0
"""After a fault has ended everything must be well again within it."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Times and rates of one drill. ``sentinel_calm_s`` and ``queue_full_s`` are those of the service's sentinel, a
    minute each in production: a service of the drill's own can be given shorter ones."""

    rate_per_s: float
    calm_s: float
    """Before the fault."""
    fault_s: float
    """The fault lasts so long at least,"""
    fault_max_s: float
    """and until it has had its effect, so long at the most."""
    after_s: float
    """Once all is well again."""
    sentinel_calm_s: float = 60.0
    queue_full_s: float = 60.0
    kills: int = 3


FULL = Size(rate_per_s=100, calm_s=10, fault_s=30, fault_max_s=150, after_s=10)
SHORT = Size(
    rate_per_s=60,
    calm_s=3,
    fault_s=5,
    fault_max_s=40,
    after_s=2,
    sentinel_calm_s=4,
    queue_full_s=2,
    kills=1,
)
