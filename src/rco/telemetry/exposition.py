"""The numbers as Prometheus reads them. Loaded when somebody asks for them the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rco.telemetry.cells import Cell, Counter, Gauge, Histogram
from rco.telemetry.signal import Kind, Signal

__all__ = ["Exposition"]

Cells = dict[tuple[str, ...], Cell]


class Exposition(Collector):
    """Of the numbers that ``cells`` gives at each scrape; with ``process`` also what the system knows of this one."""

    def __init__(self, cells: Callable[[], list[tuple[Signal, Cells]]], *, process: bool) -> None:
        self._cells = cells
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        if process:
            ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All numbers in the text format (version 0.0.4)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """For the registry; not for callers."""
        return [_family(signal, cells) for signal, cells in self._cells()]


def _family(signal: Signal, children: Cells) -> Metric:
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
