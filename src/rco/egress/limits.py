"""One limit: rate, concurrency and budgets of one scope, with a bounded line of callers that wait.

Where one process owns the database everything is here, but for budgets. Where there are several nodes, how many
permits there are, the slots of the rate and the parts of the budgets are leased from a ledger that all nodes share
(``leaser``); this object only uses what it was given, so the way of a call is the same.

Whoever waits holds nothing: a permit, a token and the budget are taken in one moment, when it is somebody's turn.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

import msgspec

from rco.egress.budgets import BudgetShare
from rco.egress.line import Line
from rco.egress.tokens import Bucket, Slots, Tokens
from rco.kit.clock import Clock
from rco.model.target import Budget

__all__ = ["Crowded", "Limits"]


class Crowded(msgspec.Struct, frozen=True):
    """Which limit lets no call through: ``rate_limited``, ``concurrency_limited``, ``queue_full`` or
    ``budget_spent``."""

    reason: str
    retry_after_s: float


class Limits:
    """Belongs to one event loop.

    Each ``slip_in`` that gave ``True`` and each ``enter`` that gave ``None`` is followed by exactly one ``leave``.
    """

    __slots__ = (
        "_alarm",
        "_clock",
        "_line",
        "_plain",
        "_tokens",
        "allowance",
        "asked",
        "budgets",
        "burst",
        "concurrency",
        "good_until_s",
        "in_flight",
        "leased",
        "line_limit",
        "need",
        "rate_per_s",
        "scope",
        "slots",
        "until_s",
    )

    def __init__(
        self,
        *,
        rate_per_s: float | None,
        burst: int | None,
        concurrency: int | None,
        line_limit: int,
        clock: Clock,
        budgets: Sequence[Budget] = (),
        scope: str = "",
        leased: bool = False,
    ) -> None:
        """``rate_per_s=None``: no rate. ``burst=None``: one second's worth, at least 1. ``concurrency=None``: as many
        as come. ``leased``: nothing is there but what a leaser gives. Raises ``ValueError`` when a number makes no
        sense."""
        if (concurrency is not None and concurrency < 1) or line_limit < 0:
            raise ValueError(f"concurrency {concurrency}: it must be at least 1")
        if rate_per_s is not None and not 0 < rate_per_s < math.inf:
            raise ValueError(f"rate {rate_per_s}/s: it must be above 0")
        if burst is not None and burst < 1:
            raise ValueError(f"burst {burst}: it must be at least 1")
        self.scope = scope
        self.rate_per_s, self.concurrency, self.line_limit = rate_per_s, concurrency, line_limit
        self.burst = float(burst) if burst is not None else float(max(1, math.floor(rate_per_s or 1.0)))
        self.in_flight = 0
        """Permits taken."""
        self.leased = leased
        self.allowance: float = math.inf if concurrency is None else 0 if leased else concurrency
        """Permits that there are here."""
        self.good_until_s = 0.0 if leased and concurrency is not None else math.inf
        """Until when they are (the clock's monotonic seconds)."""
        self.slots = Slots(clock) if leased and rate_per_s is not None else None
        self._tokens: Tokens | None = self.slots
        if rate_per_s is not None and self.slots is None:
            self._tokens = Bucket(rate_per_s, self.burst, clock)
        self.budgets = [BudgetShare(one, clock) for one in budgets]
        self._plain = self._tokens is None and not self.budgets
        self.until_s = math.inf
        """Until when what the last caller took may be used. Read in the turn in which it was taken."""
        self.asked = 0
        """Callers there ever were."""
        self.need: Callable[[], None] = _nothing
        """Called when somebody waits for what has to be leased."""
        self._line: Line[float | Crowded] = Line()
        self._clock = clock
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Callers that wait."""
        return self._line.length

    @property
    def has_permit(self) -> bool:
        """Whether a permit is free now."""
        return self.in_flight < self.allowance

    @property
    def tokens(self) -> float:
        """Calls that could leave at once under the rate, less those that wait. 0 without a rate."""
        return 0.0 if self._tokens is None else self._tokens.ready - self._line.length

    def slip_in(self, cost: int = 1) -> bool:
        """Take what a call of this cost needs if all of it is there now. The usual case, and it costs no coroutine."""
        self.asked += 1
        if self.in_flight >= self.allowance or self._line.length:
            return False
        if self.good_until_s is not math.inf and self._clock.monotonic() >= self.good_until_s:
            return False
        if not self._plain and not self._take(cost):
            return False
        self.in_flight += 1
        return True

    async def enter(self, until: float, whose: str = "", cost: int = 1) -> Crowded | None:
        """Wait for what a call needs, until ``until`` (the clock's monotonic seconds) as far as can be foreseen.

        ``whose``: namespaces take turns. ``None``: the call may go. Otherwise nothing is held. Cancelling it gives back
        what was taken. The caller bounds the wait with a deadline of its own, as nobody knows how long other calls
        will take.
        """
        for share in self.budgets:
            if (wait_s := share.empty_s(cost)) > 0:
                return Crowded("budget_spent", wait_s)
        ahead = self._line.ahead(whose)
        if (wait_s := self._foreseen_s(ahead)) > until - self._clock.monotonic():
            return Crowded("rate_limited", wait_s)
        if self._line.length >= self.line_limit:
            return Crowded("queue_full", 1.0)
        place = self._line.stand(whose, cost)
        self.pump()
        if self._line.length:
            self.need()
        try:
            answer = await place.turn
        except BaseException:
            given = place.turn.result() if place.turn.done() and not place.turn.cancelled() else None
            if isinstance(given, float):
                # It was given in the same moment in which the wait was cancelled.
                self.unused(cost, given)
                self.leave()
            else:
                self._line.give_up(place)
            raise
        if isinstance(answer, Crowded):
            return answer
        self.until_s = answer
        return None

    @property
    def dearest(self) -> int:
        """What the first in line will take of a budget."""
        place = self._line.first()
        return 1 if place is None else place.cost

    def leave(self) -> None:
        """Give the permit back; it goes to the next in line."""
        self.in_flight -= 1
        if self._line.length:
            self.pump()

    def unused(self, cost: int, until_s: float) -> None:
        """Before ``leave``: nothing left, so token and budget go back. ``until_s`` is what they were good until."""
        if self._tokens is not None:
            self._tokens.give_back(until_s)
        if self._clock.monotonic() < until_s:
            # The period that it was taken from is still running.
            for share in self.budgets:
                share.give_back(cost)

    def held_back(self) -> Crowded:
        """What keeps whoever stands in line from going, as far as can be seen, and when to ask again."""
        if self.in_flight < self.allowance and self._clock.monotonic() < self.good_until_s and self._tokens is not None:
            return Crowded("rate_limited", max(1.0, self._foreseen_s(self._line.length)))
        return Crowded("concurrency_limited", 1.0)

    def pump(self) -> None:
        """Let go who may go. Called whenever something has come that somebody may wait for."""
        now = self._clock.monotonic()
        while (place := self._line.first()) is not None:
            if place.turn.done():
                self._line.step()
                continue
            if self.in_flight >= self.allowance or now >= self.good_until_s:
                return
            if (empty_s := max((share.empty_s(place.cost) for share in self.budgets), default=0.0)) > 0:
                self._line.step()
                place.turn.set_result(Crowded("budget_spent", empty_s))
                continue
            if not self._plain and not self._take(place.cost):
                self._wake_later()
                return
            self._line.step()
            self.in_flight += 1
            place.turn.set_result(self.until_s)

    def disperse(self) -> None:
        """Send everybody who waits on their way at once, whatever the limits: the calls will be refused further on.

        For the end of the service only.
        """
        while (place := self._line.first()) is not None:
            self._line.step()
            if not place.turn.done():
                self.in_flight += 1
                place.turn.set_result(math.inf)

    def _take(self, cost: int) -> bool:
        """A token and the budget, both or nothing."""
        until_s = math.inf
        for share in self.budgets:
            if not share.has(cost):
                return False
            until_s = min(until_s, share.until_s)
        if self._tokens is not None:
            if self._tokens.wait_s() > 0:
                return False
            until_s = min(until_s, self._tokens.take())
        for share in self.budgets:
            share.take(cost)
        self.until_s = until_s
        return True

    def _wake_later(self) -> None:
        wait_s = self._tokens.wait_s() if self._tokens is not None else math.inf
        if self.leased or self.budgets:
            self.need()
        if wait_s is math.inf or (self._alarm is not None and not self._alarm.cancelled()):
            return
        self._alarm = asyncio.get_running_loop().call_later(max(wait_s, 0.0005), self._woken)

    def _woken(self) -> None:
        self._alarm = None
        self.pump()

    def _foreseen_s(self, ahead: int) -> float:
        """How long somebody with so many before them waits for a token at least."""
        if self.rate_per_s is None or self._tokens is None:
            return 0.0
        return max(0.0, (ahead + 1 - max(self._tokens.ready, 0.0 if not self.leased else 1.0)) / self.rate_per_s)


def _nothing() -> None:
    """There is nobody who leases."""
