"""How long something took, in buckets: exact times tell more than evidence needs."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["latency_bucket"]

_BUCKETS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)
_WORDS = (*(f"le_{bound}ms" for bound in _BUCKETS_MS), "gt_60000ms")


def latency_bucket(took_s: float) -> str:
    """``le_5ms`` to ``le_60000ms``, or ``gt_60000ms``."""
    if took_s <= 0.005:  # what nearly everything takes
        return "le_5ms"
    return _WORDS[bisect_left(_BUCKETS_MS, took_s * 1000)]
