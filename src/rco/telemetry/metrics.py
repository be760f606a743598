"""Counting, cheap enough for the hot path, read out as Prometheus text.

A handle is obtained once and then costs one addition. The numbers are plain attributes; they are gathered when
somebody scrapes. A handle belongs to the thread that uses it (two threads adding to one may lose counts); reading is
safe from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rco.telemetry.cells import Cell, Counter, Gauge, Histogram
from rco.telemetry.signal import Kind, Signal
from rco.telemetry.signals import CATALOGUE

if TYPE_CHECKING:
    from rco.telemetry.exposition import Exposition

__all__ = ["CONTENT_TYPE", "MAX_CHILDREN", "OTHER", "Counter", "Gauge", "Histogram", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what ``Metrics.render`` gives."""
MAX_CHILDREN = 1000
"""Sets of label values per signal. What comes after counts under ``OTHER``."""
OTHER = "other"
_MAX_LABEL_CHARS = 128


class Metrics:
    """The numbers of one service. Nothing is global: two services in one process do not see each other's.

    ``process`` adds what the operating system knows of this process (memory, CPU, files), by the usual names.
    """

    def __init__(self, *, process: bool = True) -> None:
        self._children: dict[Signal, dict[tuple[str, ...], Cell]] = {signal: {} for signal in CATALOGUE}
        self._seen: dict[tuple[Any, ...], Cell] = {}
        self._process = process
        self._exposition: Exposition | None = None
        for signal in CATALOGUE:
            if not signal.labels:
                self._cell(signal, {})

    def counter(self, signal: Signal, **labels: str) -> Counter:
        """The handle for these label values; the same one at each call.

        Raises ``ValueError`` for a signal that is of another kind or not in the catalogue, and for other labels than
        the signal has.
        """
        # Callers name their labels in one order, so what was found once is found by a look.
        cell = self._seen.get((signal.name, *labels.items()))
        if cell is None:
            cell = self._cell(signal, labels)
        if type(cell) is not Counter:
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
        if self._exposition is None:
            # What writes the format takes long to load: not for a start.
            from rco.telemetry.exposition import Exposition

            self._exposition = Exposition(self.cells, process=self._process)
        return self._exposition.text()

    def cells(self) -> list[tuple[Signal, dict[tuple[str, ...], Cell]]]:
        """Every signal of the catalogue with its numbers, by label values."""
        return [(signal, dict(self._children[signal])) for signal in CATALOGUE]

    def _cell(self, signal: Signal, labels: dict[str, str]) -> Cell:
        # As in ``counter``; the checks run once each.
        seen = (signal.name, *labels.items())
        cell = self._seen.get(seen)
        if cell is None:
            cell = self._find(signal, labels)
            if len(self._seen) < MAX_CHILDREN * len(CATALOGUE):
                self._seen[seen] = cell
        return cell

    def _find(self, signal: Signal, labels: dict[str, str]) -> Cell:
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


def _new(signal: Signal) -> Cell:
    if signal.kind is Kind.COUNTER:
        return Counter()
    if signal.kind is Kind.GAUGE:
        return Gauge()
    return Histogram(signal.buckets)
