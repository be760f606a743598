"""The sentinel: when the bridge is unwell it takes no more writes, until it is well again.

It looks at a rolling window of five minutes and has no clock, task or signal of its own: whoever asks says what time it
is. To begin it needs enough to judge by; to end it needs a calm minute, in which single writes are let through to see
whether they work. What was before the end counts no more, so it does not begin again by what it ended.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["BrownoutSettings", "BrownoutThresholds", "Judged", "Sentinel"]

WINDOW_S = 300.0
CELL_S = 5.0
CALM_S = 60.0
QUEUE_FOR_S = 60.0
SAMPLES_LEAST = 20
BAD_LEAST = 5
"""A window with fewer answers, or with fewer bad ones, says nothing: one error among thirty is no brownout."""
PROBE_EVERY_S = 5.0
RETRY_AFTER_S = 15.0
_P95_SHARE = 0.05

Share = Annotated[float, Meta(gt=0, le=1)]


class BrownoutThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Above any of these the bridge is unwell."""

    error_rate_5m: Share = 0.01
    """Share of answers that were errors of ours (5xx), over five minutes. Refusals of what senders do do not count."""
    upstream_p95_ms: Annotated[float, Meta(gt=0, le=3_600_000)] = 500.0
    """95th percentile of the time that the store and other things behind take, over five minutes, in milliseconds."""
    queue_share: Share = 0.8
    """Share of the work queue that is taken, for a minute without a break."""


class BrownoutSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether writes are refused while the bridge is unwell, and when it is."""

    enabled: bool = True
    """`false`: it is judged and shown, and nothing is refused."""
    thresholds: BrownoutThresholds = BrownoutThresholds()


class Judged(msgspec.Struct, frozen=True):
    """How it is: ``causes`` are ``error_rate``, ``upstream_p95`` and ``queue``, as far as they are over their
    thresholds now; ``changed`` says that it begins or ends with this look."""

    active: bool
    causes: tuple[str, ...]
    changed: bool


class _Cell:
    """What happened in five seconds."""

    __slots__ = ("answers", "asked", "errors", "number", "slow")

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers = self.errors = self.asked = self.slow = 0


class Sentinel:
    """Judges one bridge. ``now_s`` is monotonic time; it must not go back. Belongs to one loop."""

    __slots__ = (
        "_active",
        "_bad_s",
        "_cell",
        "_cells",
        "_full_since_s",
        "_probe_s",
        "_slow_s",
        "_until_s",
        "enabled",
        "thresholds",
    )

    def __init__(self, settings: BrownoutSettings, now_s: float) -> None:
        self.change(settings)
        self._active = False
        self._bad_s = self._probe_s = now_s
        self._full_since_s: float | None = None
        self._begin(now_s)

    def change(self, settings: BrownoutSettings) -> None:
        """Judge by other thresholds from now on. Times that were already counted stay as they were."""
        self.enabled, self.thresholds = settings.enabled, settings.thresholds
        self._slow_s = settings.thresholds.upstream_p95_ms / 1000

    @property
    def active(self) -> bool:
        """Whether writes are refused, by the last look."""
        return self._active and self.enabled

    # -- what happens ----------------------------------------------------------------------------------------------

    def answered(self, now_s: float, error: bool) -> None:
        """One answer left. ``error``: it was a 5xx of ours. Refusals of senders and our own brownout do not count."""
        if now_s >= self._until_s:
            self._turn(now_s)
        self._cell.answers += 1
        if error:
            self._cell.errors += 1

    def asked(self, now_s: float, took_s: float) -> None:
        """Something behind the bridge (the store, a target) took this long."""
        if now_s >= self._until_s:
            self._turn(now_s)
        self._cell.asked += 1
        if took_s > self._slow_s:
            self._cell.slow += 1

    def filled(self, now_s: float, share: float) -> None:
        """The work queue is this full."""
        if share <= self.thresholds.queue_share:
            self._full_since_s = None
        elif self._full_since_s is None:
            self._full_since_s = now_s

    # -- what follows ----------------------------------------------------------------------------------------------

    def look(self, now_s: float) -> Judged:
        """Judge now. To be called every second or so: nothing begins or ends in between."""
        if now_s >= self._until_s:
            self._turn(now_s)
        causes = self._causes(now_s)
        was = self._active
        if not was and causes:
            self._active, self._bad_s = True, now_s
        elif was:
            if self._unwell_lately():
                self._bad_s = now_s
            elif now_s - self._bad_s >= CALM_S:
                self._active, causes = False, ()
                self._begin(now_s)
        return Judged(self._active, causes, self._active is not was)

    def lets_through(self, now_s: float) -> bool:
        """Whether one write may go in although the bridge is unwell: every five seconds one, to see whether it works.
        Asking takes the place."""
        if now_s - self._probe_s < PROBE_EVERY_S:
            return False
        self._probe_s = now_s
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _causes(self, now_s: float) -> tuple[str, ...]:
        answers = sum(cell.answers for cell in self._cells)
        errors = sum(cell.errors for cell in self._cells)
        asked = sum(cell.asked for cell in self._cells)
        slow = sum(cell.slow for cell in self._cells)
        causes: list[str] = []
        if _says(answers, errors) and errors > self.thresholds.error_rate_5m * answers:
            causes.append("error_rate")
        if _says(asked, slow) and slow > _P95_SHARE * asked:
            causes.append("upstream_p95")
        if self._full_since_s is not None and now_s - self._full_since_s >= QUEUE_FOR_S:
            causes.append("queue")
        return tuple(causes)

    def _unwell_lately(self) -> bool:
        """Whether the two newest cells show anything bad, however little there is to judge by. Two, as the newest may
        have begun since the last look."""
        if self._full_since_s is not None:
            return True
        number = self._cell.number
        return any(
            cell.errors > self.thresholds.error_rate_5m * cell.answers or cell.slow > _P95_SHARE * cell.asked
            for cell in list(self._cells)[-2:]
            if cell.number >= number - 1
        )

    def _begin(self, now_s: float) -> None:
        self._cells: deque[_Cell] = deque(maxlen=round(WINDOW_S / CELL_S))
        self._turn(now_s)

    def _turn(self, now_s: float) -> None:
        number = int(now_s / CELL_S)
        self._cell = _Cell(number)
        self._cells.append(self._cell)
        self._until_s = (number + 1) * CELL_S
        oldest = number - round(WINDOW_S / CELL_S)
        while self._cells[0].number <= oldest:
            self._cells.popleft()


def _says(samples: int, bad: int) -> bool:
    return samples >= SAMPLES_LEAST and bad >= BAD_LEAST
