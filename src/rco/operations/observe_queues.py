"""Observe: what the dispatcher does, as metrics and log lines."""

from __future__ import annotations

from functools import partial

from rco.queues.dispatcher import Dispatcher
from rco.telemetry import signals
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Counter, Gauge, Histogram, Metrics

__all__ = ["observe_queues"]


def observe_queues(dispatcher: Dispatcher, metrics: Metrics, log: Log) -> None:
    """Keep ``metrics`` true from now on. Labels are the declared queues: never a run's or a caller's word."""
    _Observer(dispatcher, metrics, log)


class _Observer:
    def __init__(self, dispatcher: Dispatcher, metrics: Metrics, log: Log) -> None:
        self._dispatcher, self._metrics, self._log = dispatcher, metrics, log
        self._cells: dict[str, tuple[Counter, Histogram]] = {}
        dispatcher.on_granted.append(self._granted)
        dispatcher.on_trouble.append(self._trouble)
        dispatcher.on_declared.append(self._declared)
        for name in dispatcher.queues:
            self._declared(name)

    def _declared(self, queue: str) -> None:
        waiting: Gauge = self._metrics.gauge(signals.QUEUE_WAITING, queue=queue)
        waiting.watch(partial(self._of, queue, 0))
        self._metrics.gauge(signals.QUEUE_RUNNING, queue=queue).watch(partial(self._of, queue, 1))

    def _of(self, queue: str, which: int) -> int:
        for line in self._dispatcher.lines():
            if line.name == queue:
                return (line.waiting, len(line.running))[which]
        return 0

    def _granted(self, queue: str, waited_s: float) -> None:
        cells = self._cells.get(queue)
        if cells is None:
            cells = self._cells[queue] = (
                self._metrics.counter(signals.QUEUE_STARTED, queue=queue),
                self._metrics.histogram(signals.QUEUE_WAIT, queue=queue),
            )
        cells[0].add()
        cells[1].observe(waited_s)

    def _trouble(self, queue: str, problem: Exception) -> None:
        self._metrics.counter(signals.QUEUE_TROUBLE).add()
        self._log.warning("queue.trouble", queue=queue, error=problem)
