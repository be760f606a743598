"""Observe: what the scheduler does, as metrics and log lines."""

from __future__ import annotations

from functools import partial

from rco.scheduler.scheduler import Scheduler
from rco.telemetry import signals
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Metrics

__all__ = ["observe_schedules"]


def observe_schedules(scheduler: Scheduler, metrics: Metrics, log: Log) -> None:
    """Keep ``metrics`` true from now on, and log what could not be started."""
    starts = metrics.counter(signals.SCHEDULE_STARTS)
    lateness = metrics.histogram(signals.SCHEDULE_LATENESS)

    def started(late_s: float | None) -> None:
        starts.add()
        if late_s is not None:
            lateness.observe(late_s)

    scheduler.on_start.append(started)
    scheduler.on_passed.append(partial(_passed, metrics))
    scheduler.on_trouble.append(partial(_trouble, metrics, log))
    metrics.gauge(signals.SCHEDULES_HELD).watch(lambda: scheduler.held)


def _passed(metrics: Metrics, reason: str, count: int) -> None:
    metrics.counter(signals.SCHEDULE_PASSED, reason=reason).add(count)


def _trouble(metrics: Metrics, log: Log, name: str, problem: Exception) -> None:
    metrics.counter(signals.SCHEDULE_TROUBLE).add()
    log.warning("schedule.trouble", schedule=name, error=problem)
