"""Clocks that move by hand or with a virtual world: the world's own time, and each actor's idea of it."""

from __future__ import annotations

from rco.kit.clock import MICROS

__all__ = ["EPOCH_US", "DriftingClock", "ManualClock", "WorldTime"]

EPOCH_US = 1_800_000_000_000_000
"""Wall time at which every virtual world begins."""


class WorldTime:
    """The one true time of a virtual world, in seconds since it began. Only its loop moves it."""

    __slots__ = ("now_s",)

    def __init__(self) -> None:
        self.now_s = 0.0


class DriftingClock:
    """Somebody's clock in the world. Implements ``rco.kit.clock.Clock``.

    ``rate``: seconds of this clock for each second of the world; ``skew_s``: how far its wall time is ahead. The wall
    time may ``jump``, as when it is set; the monotonic time never does.
    """

    __slots__ = ("_boot_s", "_world", "rate", "skew_s")

    def __init__(self, world: WorldTime, *, rate: float = 1.0, skew_s: float = 0.0, boot_s: float = 0.0) -> None:
        self._world, self._boot_s = world, boot_s
        self.rate, self.skew_s = rate, skew_s

    def now_us(self) -> int:
        return EPOCH_US + round((self._world.now_s * self.rate + self.skew_s) * MICROS)

    def monotonic(self) -> float:
        return self._boot_s + self._world.now_s * self.rate

    def world_s(self, monotonic_s: float) -> float:
        """When, in the world's time, this clock's monotonic time is ``monotonic_s``."""
        return (monotonic_s - self._boot_s) / self.rate

    def jump(self, seconds: float) -> None:
        """Set the wall time forward, or back when negative."""
        self.skew_s += seconds


class ManualClock:
    """Stands still until it is moved. Implements ``rco.kit.clock.Clock``, for tests of code that is given a clock."""

    __slots__ = ("at_us",)

    def __init__(self, at_us: int = EPOCH_US) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at_us / MICROS

    def move(self, seconds: float) -> None:
        """Let ``seconds`` pass. Raises ``ValueError`` when they are negative: this clock is monotonic."""
        if seconds < 0:
            raise ValueError(f"{seconds} s: time does not go back; make another clock")
        self.at_us += round(seconds * MICROS)
