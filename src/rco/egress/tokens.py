"""Where the tokens of a rate come from: a bucket of this process, or slots that were leased from all nodes' ledger."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from rco.kit.clock import Clock

__all__ = ["Bucket", "Slots", "Tokens"]


class Tokens(Protocol):
    """One token, one call. Times are the clock's monotonic seconds."""

    def wait_s(self) -> float:
        """How long until there is one: 0 now, infinite when nobody knows."""
        ...

    def take(self) -> float:
        """Take the one that ``wait_s`` said is there, and learn until when it may be used."""
        ...

    def give_back(self, until_s: float) -> None:
        """It was not used."""
        ...

    @property
    def ready(self) -> float:
        """How many could be taken at once."""
        ...


class Bucket:
    """Fills at ``rate_per_s`` up to ``burst``."""

    __slots__ = ("_at", "_clock", "_rate", "_tokens", "burst")

    def __init__(self, rate_per_s: float, burst: float, clock: Clock) -> None:
        self._rate, self.burst, self._clock = rate_per_s, burst, clock
        self._tokens, self._at = burst, clock.monotonic()

    def wait_s(self) -> float:
        self._refill()
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate

    def take(self) -> float:
        self._tokens -= 1
        return math.inf

    def give_back(self, until_s: float) -> None:  # noqa: ARG002 - a bucket's tokens do not age
        self._tokens += 1

    @property
    def ready(self) -> float:
        self._refill()
        return self._tokens

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class Slots:
    """Moments at which one call each may leave: from ``from_s``, until ``until_s``. What is not used then is lost."""

    __slots__ = ("_clock", "_slots")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: deque[tuple[float, float]] = deque()

    def add(self, from_s: float, until_s: float) -> None:
        """One more, after those that are there."""
        self._slots.append((from_s, until_s))

    def wait_s(self) -> float:
        now, slots = self._clock.monotonic(), self._slots
        while slots and slots[0][1] <= now:
            slots.popleft()
        return max(0.0, slots[0][0] - now) if slots else math.inf

    def take(self) -> float:
        return self._slots.popleft()[1]

    def give_back(self, until_s: float) -> None:
        # Its beginning has passed.
        self._slots.appendleft((0.0, until_s))

    @property
    def ready(self) -> float:
        now = self._clock.monotonic()
        return float(sum(from_s <= now < until_s for from_s, until_s in self._slots))

    def ahead(self) -> int:
        """How many there are, those to come included."""
        self.wait_s()
        return len(self._slots)
