"""Rate and concurrency of one target, with a bounded line of callers that wait.

First a permit (how many at once), then a token (how many a second): taken the other way round, tokens would pile up
behind busy permits and leave in a burst. Tokens are reserved, so that who waits knows for how long, and who would wait
longer than the call may take is refused at once instead of at its deadline.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

import msgspec

from rco.kit.clock import Clock

__all__ = ["Crowded", "Limits"]


class Crowded(msgspec.Struct, frozen=True):
    """Which limit lets no call through: ``rate_limited``, ``concurrency_limited`` or ``queue_full``."""

    reason: str
    retry_after_s: float


class Limits:
    """Belongs to one event loop.

    Each ``slip_in`` that gave ``True`` and each ``enter`` that gave ``None`` is followed by exactly one ``leave``.
    """

    __slots__ = (
        "_clock",
        "_line",
        "_sleepers",
        "_tokens",
        "_tokens_at",
        "burst",
        "concurrency",
        "in_flight",
        "line_limit",
        "rate_per_s",
    )

    def __init__(
        self, *, rate_per_s: float | None, burst: int | None, concurrency: int, line_limit: int, clock: Clock
    ) -> None:
        """``rate_per_s=None``: no rate. ``burst=None``: one second's worth, at least 1. Raises ``ValueError`` when a
        number makes no sense."""
        if concurrency < 1 or line_limit < 0 or (rate_per_s is not None and not 0 < rate_per_s < float("inf")):
            raise ValueError(
                f"rate {rate_per_s}/s, concurrency {concurrency}: the rate must be above 0, the concurrency at least 1"
            )
        if burst is not None and burst < 1:
            raise ValueError(f"burst {burst}: it must be at least 1")
        self.rate_per_s, self.concurrency, self.line_limit = rate_per_s, concurrency, line_limit
        self.burst = float(burst) if burst is not None else max(1.0, rate_per_s or 1.0)
        self.in_flight = 0
        """Permits taken, by calls under way and by calls that wait for a token."""
        self._line: deque[asyncio.Future[None]] = deque()
        self._sleepers: set[asyncio.Future[None]] = set()
        self._clock = clock
        self._tokens = self.burst
        self._tokens_at = clock.monotonic()

    @property
    def waiting(self) -> int:
        """Callers that wait for a permit or a token."""
        return len(self._line) + len(self._sleepers)

    @property
    def has_permit(self) -> bool:
        """Whether a permit is free now."""
        return self.in_flight < self.concurrency

    @property
    def tokens(self) -> float:
        """Calls that could leave at once; below 0 when calls wait for tokens. 0 without a rate."""
        if self.rate_per_s is None:
            return 0.0
        self._refill(self.rate_per_s)
        return self._tokens

    def slip_in(self) -> bool:
        """Take a permit and a token if both are free now. The usual case, and it costs no coroutine."""
        if self.in_flight >= self.concurrency:
            return False
        if self.rate_per_s is not None:
            self._refill(self.rate_per_s)
            if self._tokens < 1:
                return False
            self._tokens -= 1
        self.in_flight += 1
        return True

    async def enter(self, until: float) -> Crowded | None:
        """Wait for a permit and a token, until ``until`` (the clock's monotonic seconds) as far as can be foreseen.

        ``None``: the call may go. Otherwise nothing is held. Cancelling it gives back what was held. The caller bounds
        the wait for a permit with a deadline of its own, as nobody knows how long other calls will take.
        """
        ahead = len(self._line) + 1
        if (wait_s := self._token_wait_s(ahead)) > until - self._clock.monotonic():
            return Crowded("rate_limited", wait_s)
        # While a permit is free nobody stands in line: whoever leaves hands on.
        if self.in_flight >= self.concurrency:
            if len(self._line) >= self.line_limit:
                return Crowded("queue_full", 1.0)
            await self._stand_in_line()
        else:
            self.in_flight += 1
        if self.rate_per_s is None:
            return None
        # Others may have taken tokens while this one stood in line.
        wait_s = self._token_wait_s(1)
        if wait_s > until - self._clock.monotonic():
            self.leave()
            return Crowded("rate_limited", wait_s)
        self._tokens -= 1
        if wait_s > 0:
            try:
                await self._sleep(wait_s)
            except BaseException:
                self._tokens += 1
                self.leave()
                raise
        return None

    def leave(self) -> None:
        """Give the permit back; it goes to the next in line."""
        while self._line:
            first = self._line.popleft()
            if not first.done():
                first.set_result(None)
                return
        self.in_flight -= 1

    def disperse(self) -> None:
        """Send everybody who waits on their way at once, whatever the limits: the calls will be refused further on.

        For the end of the service only.
        """
        for sleeper in self._sleepers:
            _wake(sleeper)
        while self._line:
            first = self._line.popleft()
            if not first.done():
                self.in_flight += 1
                first.set_result(None)

    async def _stand_in_line(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # The permit was handed over in the same moment in which the wait was cancelled.
                self.leave()
            else:
                with suppress(ValueError):
                    self._line.remove(turn)
            raise

    async def _sleep(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        alarm = loop.call_later(wait_s, _wake, sleeper)
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            alarm.cancel()
            self._sleepers.discard(sleeper)

    def _token_wait_s(self, ahead: int) -> float:
        if self.rate_per_s is None:
            return 0.0
        self._refill(self.rate_per_s)
        return max(0.0, (ahead - self._tokens) / self.rate_per_s)

    def _refill(self, rate_per_s: float) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._tokens_at) * rate_per_s)
        self._tokens_at = now


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
