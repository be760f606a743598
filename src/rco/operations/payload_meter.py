"""Counting what goes into the object store and comes out of it."""

from __future__ import annotations

from collections.abc import Callable

from rco.telemetry import signals
from rco.telemetry.metrics import Metrics

__all__ = ["PayloadMeter"]


class PayloadMeter:
    """Implements ``rco.payloads.keeping.Told``."""

    def __init__(self, metrics: Metrics, trouble: Callable[[BaseException], None]) -> None:
        self._kept, self._fetched = metrics.counter(signals.PAYLOADS_KEPT), metrics.counter(signals.PAYLOADS_FETCHED)
        self._failed, self._trouble = metrics.counter(signals.PAYLOADS_FAILED), trouble
        self._put_bytes = metrics.counter(signals.PAYLOAD_SIZE, way="put")
        self._got_bytes = metrics.counter(signals.PAYLOAD_SIZE, way="got")

    def put(self, size_bytes: int) -> None:
        self._kept.add()
        self._put_bytes.add(size_bytes)

    def got(self, size_bytes: int) -> None:
        self._fetched.add()
        self._got_bytes.add(size_bytes)

    def failed(self, problem: BaseException) -> None:
        self._failed.add()
        self._trouble(problem)
