"""What a check is told besides the three records."""

from __future__ import annotations

import msgspec

__all__ = ["Options", "TargetLimits"]


class TargetLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was declared of one target. Left out is not checked.

    ``timeout_s``: after this long a caller has hung up, and a request that is not answered no longer counts as under
    way. ``keyed`` false: the target takes no idempotency keys, so its effects cannot be told apart by them. ``reads``:
    methods without an effect.
    """

    concurrency: int | None = None
    rate_per_s: float | None = None
    burst: int | None = None
    timeout_s: float | None = None
    keyed: bool = True
    reads: tuple[str, ...] = ("GET", "HEAD", "OPTIONS")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """``settled``: the faults have stopped and nothing more is to come, so everything must be closed.

    ``late_us`` bounds a timer's lateness, not counting the time in which nobody owned the run. ``skew_us`` is how far
    the clocks of client, target and service may be apart; ``jitter_us`` how much a gap between two requests may shrink
    on the way. ``heard_us`` is within how long the owner of a queue hears of a run that waits or has closed.
    ``link`` is a link of the chain as noted outside the system: number and hash, and ``link_chain`` the chain it is of,
    where there are several.
    """

    settled: bool = False
    late_us: int = 5_000_000
    skew_us: int = 0
    jitter_us: int = 100_000
    heard_us: int = 5_000_000
    link: tuple[int, str] | None = None
    link_chain: str = ""
    rules: str = "abcdefghi"
