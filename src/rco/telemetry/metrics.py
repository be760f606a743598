"""Counting, cheap enough for the hot path, read out as Prometheus text.

A handle is obtained once and then costs one addition. The numbers are plain attributes; they are gathered when
somebody scrapes. A handle belongs to the thread that uses it (two threads adding to one may lose counts); reading is
safe from any thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rco.telemetry.signal import Kind, Signal
from rco.telemetry.signals import CATALOGUE

__all__ = ["CONTENT_TYPE", "MAX_CHILDREN", "OTHER", "Counter", "Gauge", "Histogram", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what ``Metrics.render`` gives."""
MAX_CHILDREN = 1000
"""Sets of label values per signal. What comes after counts under ``OTHER``."""
OTHER = "other"
_MAX_LABEL_CHARS = 128


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


_Cell = Counter | Gauge | Histogram


class Metrics(Collector):
    """The numbers of one service. Nothing is global: two services in one process do not see each other's.

    ``process`` adds what the operating system knows of this process (memory, CPU, files), by the usual names.
    """

    def __init__(self, *, process: bool = True) -> None:
        self._children: dict[Signal, dict[tuple[str, ...], _Cell]] = {signal: {} for signal in CATALOGUE}
        self._seen: dict[tuple[Any, ...], _Cell] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        if process:
            ProcessCollector(registry=self._registry)
        for signal in CATALOGUE:
            if not signal.labels:
                self._cell(signal, {})

    def counter(self, signal: Signal, **labels: str) -> Counter:
        """The handle for these label values; the same one at each call.

        Raises ``ValueError`` for a signal that is of another kind or not in the catalogue, and for other labels than
        the signal has.
        """
        cell = self._cell(signal, labels)
        if not isinstance(cell, Counter):
            raise ValueError(f"{signal.name} is a {signal.kind}, not a counter")
        return cell

    def gauge(self, signal: Signal, **labels: str) -> Gauge:
        """As ``counter``, for a gauge."""
        cell = self._cell(signal, labels)
        if not isinstance(cell, Gauge):
            raise ValueError(f"{signal.name} is a {signal.kind}, not a gauge")
        return cell

    def histogram(self, signal: Signal, **labels: str) -> Histogram:
        """As ``counter``, for a histogram."""
        cell = self._cell(signal, labels)
        if not isinstance(cell, Histogram):
            raise ValueError(f"{signal.name} is a {signal.kind}, not a histogram")
        return cell

    def render(self) -> bytes:
        """All numbers in Prometheus' text format (version 0.0.4)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry; not for callers."""
        return [_family(signal, dict(self._children[signal])) for signal in CATALOGUE]

    def _cell(self, signal: Signal, labels: dict[str, str]) -> _Cell:
        # Callers name their labels in one order, so what was found once is found by a look; the checks run once each.
        seen = (signal.name, *labels.items())
        cell = self._seen.get(seen)
        if cell is None:
            cell = self._find(signal, labels)
            if len(self._seen) < MAX_CHILDREN * len(CATALOGUE):
                self._seen[seen] = cell
        return cell

    def _find(self, signal: Signal, labels: dict[str, str]) -> _Cell:
        children = self._children.get(signal)
        if children is None:
            raise ValueError(f"{signal.name} is not in the catalogue; declare it in rco.telemetry.signals")
        if len(labels) != len(signal.labels) or not all(name in labels for name in signal.labels):
            raise ValueError(f"{signal.name} has the labels {signal.labels}, not {tuple(labels)}")
        values = tuple(str(labels[name]) for name in signal.labels)
        cell = children.get(values)
        if cell is not None:
            return cell
        if len(children) >= MAX_CHILDREN or any(len(value) > _MAX_LABEL_CHARS for value in values):
            values = tuple(OTHER for _ in values)
            cell = children.get(values)
        if cell is None:
            cell = children[values] = _new(signal)
        return cell


def _new(signal: Signal) -> _Cell:
    if signal.kind is Kind.COUNTER:
        return Counter()
    if signal.kind is Kind.GAUGE:
        return Gauge()
    return Histogram(signal.buckets)


def _family(signal: Signal, children: dict[tuple[str, ...], _Cell]) -> Metric:
    if signal.kind is Kind.HISTOGRAM:
        histograms = HistogramMetricFamily(signal.name, signal.help, labels=signal.labels)
        for values, cell in children.items():
            if isinstance(cell, Histogram):
                histograms.add_metric(values, cell.cumulative(), cell.sum)
        return histograms
    if signal.kind is Kind.COUNTER:
        counters = CounterMetricFamily(signal.name, signal.help, labels=signal.labels)
        for values, cell in children.items():
            if isinstance(cell, Counter):
                counters.add_metric(values, cell.value)
        return counters
    gauges = GaugeMetricFamily(signal.name, signal.help, labels=signal.labels)
    for values, cell in children.items():
        if isinstance(cell, Gauge):
            gauges.add_metric(values, cell.value)
    return gauges
