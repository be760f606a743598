"""A token bucket for each caller's address, in bounded memory."""

from __future__ import annotations

from ipaddress import IPv6Address

from rco.kit.bucket import TokenBucket
from rco.kit.clock import Clock

__all__ = ["CALLERS_CAP", "CallerBuckets", "caller_key"]

CALLERS_CAP = 8192
_SITE_BITS = 64


def caller_key(address: str) -> str:
    """What is counted as one caller: an IPv4 address, or the /64 of an IPv6 address, as whoever has one address of it
    has them all. What is no address counts as it is. Raises nothing."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else f"{IPv6Address(int(parsed) >> _SITE_BITS << _SITE_BITS)}/{_SITE_BITS}"


class CallerBuckets:
    """Lets each caller have ``rate_per_s`` with ``burst``. Belongs to one loop.

    A caller is forgotten once its bucket must be full again, so forgetting gives nobody anything. While ``callers_cap``
    others are remembered, those that are new share one bucket.
    """

    __slots__ = ("_buckets", "_cap", "_clock", "_others", "_refill_s", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, clock: Clock, *, callers_cap: int = CALLERS_CAP) -> None:
        self.rate_per_s, self.burst = rate_per_s, burst
        self._clock, self._cap = clock, callers_cap
        self._refill_s = burst / rate_per_s
        self._others = TokenBucket(rate_per_s, burst, clock)
        # In the order of their last use.
        self._buckets: dict[str, tuple[TokenBucket, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str) -> float:
        """Take one token of this caller's. Returns 0.0, or the seconds after which it may succeed."""
        now = self._clock.monotonic()
        held = self._buckets.pop(caller, None)
        if held is None:
            self._forget(now)
            if len(self._buckets) >= self._cap:
                return self._others.take()
            # Whoever is new may have used the shared bucket a moment ago.
            bucket = TokenBucket(self.rate_per_s, self.burst, self._clock, tokens=self._others.held())
        else:
            bucket = held[0]
        self._buckets[caller] = bucket, now
        return bucket.take()

    def _forget(self, now: float) -> None:
        # Two for each that comes: the table shrinks while there is something to forget, and no call does much.
        for _ in range(2):
            oldest = next(iter(self._buckets), None)
            if oldest is None or now - self._buckets[oldest][1] < self._refill_s:
                return
            del self._buckets[oldest]
