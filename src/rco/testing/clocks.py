"""Clocks that move by hand or with a virtual world: the world's own time, and each actor's idea of it."""

from __future__ import annotations

from rco.kit.clock import MICROS

__all__ = ["EPOCH_US", "DriftingClock", "WorldTime"]

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
