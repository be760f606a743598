"""The engine's own settings, poured in."""

from __future__ import annotations

import msgspec

__all__ = ["EngineOptions"]


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of one engine.

    ``open_runs_limit``: runs held in memory; beyond it a start is refused with ``Overloaded``. ``backlog_limit``: rows
    waiting for the writer; beyond it the same. ``park_after_s``: a run that only waits leaves memory after this long,
    at once when its next timer is later than this. ``timer_window_s``: timers of parked runs due within it are armed.
    """

    open_runs_limit: int = 20_000
    backlog_limit: int = 20_000
    park_after_s: float = 30.0
    timer_window_s: float = 60.0
    loads_at_a_time: int = 64
    input_limit_bytes: int = 1 << 20
    value_limit_bytes: int = 1 << 20
    inbox_limit: int = 1_000
    step_threads: int = 8
