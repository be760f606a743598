"""The breaker of one target, and the time until which the target itself asked to be left alone.

Closed, it counts over a sliding window. Open, it refuses at once. After ``open_s`` it is half-open: exactly one call
goes through as a probe, and its outcome closes or opens it again. Beside that, ``closed_until`` comes from the target's
own 429 and 503 answers and refuses everything until then, whatever the breaker says.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from rco.egress.retry_after import RETRY_AFTER_CAP_S
from rco.kit.clock import MICROS, Clock
from rco.model.target import Breaker

__all__ = ["CircuitBreaker", "Phase", "Shut", "Ticket"]

_SLOTS = 10
"""The window slides in tenths: constant memory whatever the rate."""


class Phase(StrEnum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Shut(msgspec.Struct, frozen=True):
    """Why no call may go now: ``breaker_open`` or ``closed_until``, and after how many seconds to ask again."""

    reason: str
    retry_after_s: float


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """The right to make one call. Give it back once, to ``succeeded``, ``failed`` or ``abandoned``."""

    era: int
    probe: bool = False


class CircuitBreaker:
    """Belongs to one event loop. Times are the poured-in clock's monotonic seconds."""

    __slots__ = (
        "_bad",
        "_clock",
        "_closed_until",
        "_era",
        "_good",
        "_open_until",
        "_probing",
        "_slot",
        "phase",
        "rules",
    )

    def __init__(self, rules: Breaker, clock: Clock) -> None:
        self.rules = rules
        self.phase = Phase.CLOSED
        self._clock = clock
        self._good = [0] * _SLOTS
        self._bad = [0] * _SLOTS
        self._slot = self._now_slot()
        self._open_until = 0.0
        self._closed_until = 0.0
        self._probing = False
        # Every change of phase begins an era; what began in an earlier one has no say any more.
        self._era = 0

    def admit(self) -> Ticket | Shut:
        """A ticket for one call, or why none may go now."""
        now = self._clock.monotonic()
        if now < self._closed_until:
            return Shut("closed_until", self._closed_until - now)
        if self.phase is Phase.CLOSED:
            return Ticket(self._era)
        if self.phase is Phase.OPEN:
            if now < self._open_until:
                return Shut("breaker_open", self._open_until - now)
            self._turn(Phase.HALF_OPEN)
        if self._probing:
            return Shut("breaker_open", self.rules.open_s)
        self._probing = True
        return Ticket(self._era, probe=True)

    def succeeded(self, ticket: Ticket) -> None:
        """The target answered as a target should (a plain no included)."""
        if ticket.era != self._era:
            return
        if ticket.probe:
            self._turn(Phase.CLOSED)
            self._forget()
            return
        self._slide()
        self._good[self._slot % _SLOTS] += 1

    def failed(self, ticket: Ticket) -> None:
        """The target could not be reached, did not answer in time, or answered that it is broken."""
        if ticket.era != self._era:
            return
        if ticket.probe:
            self._open()
            return
        self._slide()
        self._bad[self._slot % _SLOTS] += 1
        bad, all_ = sum(self._bad), sum(self._bad) + sum(self._good)
        if all_ >= self.rules.min_calls and bad >= self.rules.failure_ratio * all_:
            self._open()

    def abandoned(self, ticket: Ticket) -> None:
        """The call never came to tell anything: refused by a limit, cancelled. A probe may be sent again."""
        if ticket.era == self._era and ticket.probe:
            self._probing = False

    def open_for(self, wait_s: float) -> None:
        """It opened on another node, ``wait_s`` before it may be tried again."""
        if self.phase is not Phase.OPEN:
            self._turn(Phase.OPEN)
        self._open_until = max(self._open_until, self._clock.monotonic() + wait_s)

    def close_again(self) -> None:
        """Another node's probe was answered."""
        if self.phase is not Phase.CLOSED:
            self._turn(Phase.CLOSED)
            self._forget()

    def wait_on(self, ticket: Ticket, wait_s: float) -> None:
        """Another node makes the probe that this ticket was for: ask again in ``wait_s``."""
        if ticket.era == self._era:
            self._turn(Phase.OPEN)
            self._open_until = self._clock.monotonic() + wait_s

    def end_pause(self) -> None:
        """Somebody said that the target need not be left alone any longer."""
        self._closed_until = 0.0

    def close_for(self, wait_s: float) -> None:
        """The target asked for a pause. Clamped to an hour; never shortens a pause that is on; 0 and less: nothing."""
        if wait_s > 0:
            until = self._clock.monotonic() + min(wait_s, RETRY_AFTER_CAP_S)
            self._closed_until = max(self._closed_until, until)

    @property
    def closed_until_us(self) -> int | None:
        """When the pause the target asked for ends (wall time), or ``None``."""
        left_s = self._closed_until - self._clock.monotonic()
        return self._clock.now_us() + round(left_s * MICROS) if left_s > 0 else None

    @property
    def counts(self) -> tuple[int, int]:
        """(succeeded, failed) within the window."""
        self._slide()
        return sum(self._good), sum(self._bad)

    def _turn(self, phase: Phase) -> None:
        self.phase = phase
        self._era += 1
        self._probing = False

    def _open(self) -> None:
        self._turn(Phase.OPEN)
        self._open_until = self._clock.monotonic() + self.rules.open_s

    def _now_slot(self) -> int:
        return int(self._clock.monotonic() * _SLOTS / self.rules.window_s)

    def _slide(self) -> None:
        slot = self._now_slot()
        for passed in range(max(self._slot, slot - _SLOTS) + 1, slot + 1):
            self._good[passed % _SLOTS] = self._bad[passed % _SLOTS] = 0
        self._slot = slot

    def _forget(self) -> None:
        self._good = [0] * _SLOTS
        self._bad = [0] * _SLOTS
