"""The dispatcher's own settings, poured in."""

from __future__ import annotations

import msgspec

__all__ = ["QueueOptions"]


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and times of one node's dispatcher."""

    poll_s: float = 2.0
    """How often a queue is read for what other nodes have written, in case a notice was missed."""
    count_s: float = 10.0
    """How often the runs that wait are counted for the bound on them; in between they are counted in memory."""
    page: int = 8
    """Runs of one fairness key in memory; the rest stay in the store until their turn is near."""
    keys_limit: int = 10_000
    """Fairness keys of one level of a queue that take turns at the same time; further ones join as these run out."""
    grants_at_a_time: int = 256
    """Turns given in one commit."""
