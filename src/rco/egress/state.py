"""What can be seen of a target: for the control API and for metrics."""

from __future__ import annotations

import msgspec

__all__ = ["TargetState"]


class TargetState(msgspec.Struct, frozen=True, kw_only=True):
    """A target's living state at one moment. Counts are since start, or since the target's declaration changed."""

    name: str
    rate_per_s: float | None
    tokens: float
    """Calls that could leave at once under the rate; below 0 when that many wait. 0 without a rate."""
    concurrency: int
    in_flight: int
    waiting: int
    """Calls that wait for a permit or a token."""
    breaker: str
    """``closed``, ``open`` or ``half_open``."""
    window_succeeded: int
    window_failed: int
    closed_until_us: int | None
    """Until when the target asked to be left alone (429 or 503 with Retry-After), or ``None``."""
    calls: int
    """Attempts asked for, refused ones included."""
    outcomes: dict[str, int]
    """Attempts by outcome: ``ok``, or the reason of the failure."""
