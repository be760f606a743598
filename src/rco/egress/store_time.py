"""What the database's clock says, in this process's monotonic seconds, with how far that may be off."""

from __future__ import annotations

from rco.kit.clock import MICROS

__all__ = ["StoreTime"]

DRIFT = 0.002
"""How far two clocks may run apart in a second: ten times what is usual for computers."""


class StoreTime:
    """From one question that was begun at ``asked_s``, was answered at ``heard_s`` and said ``now_us``."""

    __slots__ = ("asked_s", "heard_s", "now_us")

    def __init__(self, asked_s: float, heard_s: float, now_us: int) -> None:
        self.asked_s, self.heard_s, self.now_us = asked_s, heard_s, now_us

    def vague_s(self, at_s: float) -> float:
        """By how much what is said of a moment near ``at_s`` may be off."""
        return self.heard_s - self.asked_s + 2 * DRIFT * abs(at_s - self.heard_s)

    def surely_us(self, at_s: float) -> int:
        """What the database's clock shows at least, at ``at_s`` here."""
        passed_s = at_s - self.heard_s
        return self.now_us + int(max(0.0, passed_s - abs(passed_s) * DRIFT) * MICROS)

    def not_before_s(self, at_us: int) -> float:
        """The latest moment here at which the database's clock may reach ``at_us``."""
        away_s = (at_us - self.now_us) / MICROS
        return self.heard_s + away_s + abs(away_s) * DRIFT

    def not_after_s(self, at_us: int) -> float:
        """The earliest moment here at which the database's clock may reach ``at_us``."""
        away_s = (at_us - self.now_us) / MICROS
        return self.asked_s + away_s - abs(away_s) * DRIFT
