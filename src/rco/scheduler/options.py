"""The scheduler's own settings, poured in."""

from __future__ import annotations

import msgspec

__all__ = ["SchedulerOptions"]


class SchedulerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of one node's scheduler."""

    window_s: float = 60.0
    """Schedules that are due within it are in memory; twice in it the store is read for the next."""
    poll_s: float = 2.0
    """How often the store is read for what other nodes have changed."""
    again_s: float = 0.5
    """The first pause before a start that could not be made is tried again; each further one is twice as long."""
    again_cap_s: float = 5.0
    """The longest of these pauses."""
    schedules_limit: int = 200_000
    """Schedules of one namespace; beyond it none is made."""
