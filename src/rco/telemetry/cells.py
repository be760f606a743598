"""The three kinds of numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

__all__ = ["Cell", "Counter", "Gauge", "Histogram"]


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Add ``amount``, which must not be negative; that is not checked here, for speed."""
        self.value += amount


class Gauge:
    """A number that goes up and down, set here or asked for at each scrape."""

    __slots__ = ("_ask", "_value")

    def __init__(self) -> None:
        self._value: float = 0
        self._ask: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self._value = value

    def add(self, amount: float) -> None:
        self._value += amount

    def watch(self, ask: Callable[[], float]) -> None:
        """From now on call ``ask`` at each scrape. When it raises, the gauge is NaN, and the scrape goes on."""
        self._ask = ask

    @property
    def value(self) -> float:
        if self._ask is None:
            return self._value
        try:
            return float(self._ask())
        except Exception:  # noqa: BLE001  (one broken gauge must not blind the operator to all others)
            return float("nan")


class Histogram:
    """A distribution over fixed upper bounds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value``, a finite number in the unit of the signal's name."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def sum(self) -> float:
        return self._sum

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound as text, how many were at most that), ending with ``+Inf``."""
        bounds = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))


Cell = Counter | Gauge | Histogram
"""The number of one set of label values."""
