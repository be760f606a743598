"""A token bucket: a rate with a burst."""

from __future__ import annotations

from rco.kit.clock import Clock

__all__ = ["TokenBucket"]


class TokenBucket:
    """Lets ``rate_per_s`` through on average and ``burst`` at once; begins with ``tokens``, or full. Not thread-safe:
    it belongs to one loop."""

    __slots__ = ("_at", "_clock", "_tokens", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, clock: Clock, *, tokens: float | None = None) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise ValueError(f"rate {rate_per_s}/s, burst {burst}: the rate must be above 0 and the burst at least 1")
        self.rate_per_s, self.burst = rate_per_s, burst
        self._clock = clock
        self._tokens = burst if tokens is None else tokens
        self._at = clock.monotonic()

    def held(self) -> float:
        """How many tokens there are now."""
        return min(self.burst, self._tokens + (self._clock.monotonic() - self._at) * self.rate_per_s)

    def take(self, tokens: float = 1.0) -> float:
        """Take tokens. Returns 0.0 when taken, else the seconds after which it may succeed (nothing is taken).

        Raises ``ValueError`` for more than the burst.
        """
        if tokens > self.burst:
            raise ValueError(f"{tokens} tokens can never be taken from a bucket of {self.burst}")
        now = self._clock.monotonic()
        held = min(self.burst, self._tokens + (now - self._at) * self.rate_per_s)
        self._at = now
        if held >= tokens:
            self._tokens = held - tokens
            return 0.0
        self._tokens = held
        return (tokens - held) / self.rate_per_s
