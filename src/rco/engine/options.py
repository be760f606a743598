"""The engine's own settings, poured in."""

from __future__ import annotations

import msgspec

__all__ = ["EngineOptions"]


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of one engine."""

    open_runs_limit: int = 20_000
    """Runs held in memory; beyond it a start is refused as `Overloaded`."""
    backlog_limit: int = 20_000
    """Rows that wait for the writer; beyond it the same."""
    park_after_s: float = 30.0
    """A run that only waits leaves memory after so long, at once when its next timer is later than this."""
    park_look_s: float = 1.0
    """How often the runs that rest are looked at for it."""
    timer_window_s: float = 60.0
    """Timers of parked runs that are due within it are armed."""
    loads_at_a_time: int = 64
    """Runs whose journals are read at the same time after a start or a take-over."""
    input_limit_bytes: int = 1 << 20
    """The largest input of a run."""
    value_limit_bytes: int = 1 << 20
    """The largest result of a step, state or value of a signal."""
    inbox_limit: int = 1_000
    """Messages that one run may have unread; beyond it a signal is refused."""
    step_threads: int = 8
    """Threads for steps that are plain functions."""
