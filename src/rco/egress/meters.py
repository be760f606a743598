"""The metrics of one target: handles obtained once, one addition each afterwards."""

from __future__ import annotations

from collections.abc import Callable

from rco.egress.breaker import CircuitBreaker, Phase
from rco.egress.limits import Limits
from rco.egress.verdict import Verdict
from rco.telemetry.metrics import Metrics
from rco.telemetry.signals import (
    BREAKER_STATE,
    CALL_LATENCY,
    CALLS,
    CALLS_INFLIGHT,
    CALLS_LIMITED,
    DOWNSTREAM_FAILURES,
)

__all__ = ["Meters", "watch"]

_STATES = {Phase.CLOSED: 0.0, Phase.HALF_OPEN: 1.0, Phase.OPEN: 2.0}


class Meters:
    """Counts what one target's attempts came to."""

    __slots__ = ("_failures", "_latency", "_limited", "_outcomes", "_told")

    def __init__(self, target: str, metrics: Metrics, told: Callable[[str], None] | None = None) -> None:
        """``told`` hears of each call that a limit held back."""
        self._told = told
        self._outcomes = {
            outcome: metrics.counter(CALLS, target=target, outcome=outcome)
            for outcome in ("ok", "error", "refused", "timeout", "fallback")
        }
        self._limited = {
            limit: metrics.counter(CALLS_LIMITED, target=target, limit=limit)
            for limit in ("rate", "concurrency", "budget", "breaker", "closed_until", "switch")
        }
        self._failures = metrics.counter(DOWNSTREAM_FAILURES, target=target)
        self._latency = metrics.histogram(CALL_LATENCY, target=target)

    def ended(self, verdict: Verdict, took_s: float) -> None:
        """One attempt ended. What was refused here is no failure downstream, and its time says nothing."""
        if not verdict.allow:
            self._outcomes["refused"].add()
            return
        self._latency.observe(took_s)
        if not verdict.reason:
            self._outcomes["ok"].add()
            return
        self._outcomes["timeout" if verdict.reason == "timeout" else "error"].add()
        self._failures.add()

    def limited(self, limit: str) -> None:
        """A call was held back or refused by one of these limits."""
        self._limited[limit].add()
        if self._told is not None:
            self._told(limit)

    def fell_back(self) -> None:
        """The target's fallback stood in."""
        self._outcomes["fallback"].add()


def watch(target: str, metrics: Metrics, limits: Limits, breaker: CircuitBreaker) -> None:
    """Let the gauges of ``target`` ask these from now on, whichever they asked before."""
    metrics.gauge(CALLS_INFLIGHT, target=target).watch(lambda: float(limits.in_flight))
    metrics.gauge(BREAKER_STATE, target=target).watch(lambda: _STATES[breaker.phase])
