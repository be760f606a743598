"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

__all__ = ["Backoff"]


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with jitter and a cap.

    Attempt ``n`` (1 is the first that failed) waits ``first_s * factor ** (n - 1)``, at most ``cap_s``, of which the
    share ``jitter`` (0 to 1) is drawn at random.
    """

    first_s: float = 0.1
    factor: float = 2.0
    cap_s: float = 30.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not (self.first_s > 0 and self.factor >= 1 and self.cap_s >= self.first_s and 0 <= self.jitter <= 1):
            raise ValueError(f"{self}: needs first_s > 0, factor >= 1, cap_s >= first_s and 0 <= jitter <= 1")

    def delay_s(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after failed attempt ``attempt`` (from 1). ``random`` gives a number in [0, 1)."""
        try:
            bare = min(self.cap_s, self.first_s * self.factor ** (attempt - 1))
        except OverflowError:
            # Too large for a number is certainly more than the cap.
            bare = self.cap_s
        return bare * (1 - self.jitter * random())
