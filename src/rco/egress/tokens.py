"""Where the tokens of a rate come from: a bucket of this process, or slots that were leased from all nodes' ledger."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from rco.egress.store_time import StoreTime
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
    """Moments at which one call each may leave, and until when. What is not used then is lost.

    They are kept as the ledger has them, in the time of the store's clock, and read by what is known of that clock when
    they are needed: of a moment that is seconds away it says too little to hit a narrow slot, and it is asked again
    before the moment comes.
    """

    __slots__ = ("_back", "_clock", "_slots", "time")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: deque[tuple[int, int]] = deque()
        self._back: list[float] = []
        """Of those that were given back, until when each may be used here."""
        self.time: Callable[[], StoreTime | None] = _unknown
        """What is known of the store's clock."""

    def add(self, from_us: int, until_us: int) -> None:
        """One more, after those that are there."""
        self._slots.append((from_us, until_us))

    def wait_s(self) -> float:
        now = self._clock.monotonic()
        if self._back:
            self._back = [until_s for until_s in self._back if until_s > now]
            if self._back:
                return 0.0
        slots, time = self._slots, self.time()
        if time is None:
            return math.inf
        while slots and time.not_after_s(slots[0][1]) <= now:
            slots.popleft()
        return max(0.0, time.not_before_s(slots[0][0]) - now) if slots else math.inf

    def take(self) -> float:
        if self._back:
            return self._back.pop(0)
        until_us, time = self._slots.popleft()[1], self.time()
        return 0.0 if time is None else time.not_after_s(until_us)

    def give_back(self, until_s: float) -> None:
        self._back.append(until_s)

    @property
    def ready(self) -> float:
        now, time = self._clock.monotonic(), self.time()
        count = sum(now < until_s for until_s in self._back)
        if time is not None:
            count += sum(time.not_before_s(at) <= now < time.not_after_s(until) for at, until in self._slots)
        return float(count)

    def ahead(self) -> int:
        """How many there are, those to come included."""
        self.wait_s()
        return len(self._slots) + len(self._back)


def _unknown() -> None:
    """Until somebody has asked the store."""
