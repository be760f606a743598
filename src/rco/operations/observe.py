"""Observe: what engine and writer do, as metrics."""

from __future__ import annotations

from typing import Any

from rco.engine.engine import Engine, EngineStats
from rco.engine.live import Live
from rco.kit.clock import MICROS, Clock
from rco.model.run import Outcome
from rco.store.contract.writer import Flushed, Writer
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics

__all__ = ["CallObserver", "observe"]


def observe(engine: Engine, writer: Writer, metrics: Metrics, clock: Clock) -> None:
    """Keep ``metrics`` true from now on. Hot counters are brought up to date once a commit, not once a step."""
    Observer(engine, writer, metrics, clock)


class Observer:
    """Turns counters that the engine keeps anyway into metrics."""

    def __init__(self, engine: Engine, writer: Writer, metrics: Metrics, clock: Clock) -> None:
        self._engine, self._metrics, self._clock = engine, metrics, clock
        self._last = engine.stats()
        self._steps_ok = metrics.counter(signals.STEPS, outcome="ok")
        self._steps_failed = metrics.counter(signals.STEPS, outcome="failed")
        self._in_doubt = metrics.counter(signals.STEPS, outcome="in_doubt")
        self._retries = metrics.counter(signals.STEP_RETRIES)
        self._taken = metrics.counter(signals.SIGNALS_TAKEN)
        self._replayed = metrics.counter(signals.REPLAYS, outcome="ok")
        self._blocked = metrics.counter(signals.REPLAYS, outcome="blocked")
        self._commits = metrics.counter(signals.COMMITS)
        self._records = metrics.counter(signals.COMMIT_RECORDS)
        self._size = metrics.counter(signals.COMMIT_SIZE)
        self._commit_s = metrics.histogram(signals.COMMIT_DURATION)
        self._lateness_s = metrics.histogram(signals.TIMER_LATENESS)
        metrics.gauge(signals.WRITER_BACKLOG).watch(lambda: writer.backlog)
        metrics.gauge(signals.OPEN_RUNS, mode="hot").watch(lambda: engine.stats().open_in_memory)
        self._dropped = metrics.counter(signals.INTEROP_AUDIT_DROPPED)
        self._dropped_before = writer.notes_dropped
        self._writer = writer
        writer.on_flush(self._flushed)
        engine.on_closed(self._closed)
        engine.timers.on_fired.append(self._lateness_s.observe)

    def _flushed(self, flushed: Flushed) -> None:
        self._commits.add()
        self._records.add(flushed.records)
        self._size.add(flushed.size_bytes)
        self._commit_s.observe(flushed.took_s)
        self._catch_up(self._engine.stats())

    def _catch_up(self, now: EngineStats) -> None:
        last, self._last = self._last, now
        self._steps_ok.add(now.steps_ok - last.steps_ok)
        self._steps_failed.add(now.steps_failed - last.steps_failed)
        self._in_doubt.add(now.in_doubt - last.in_doubt)
        self._retries.add(now.retries - last.retries)
        self._taken.add(now.messages_taken - last.messages_taken)
        self._replayed.add(now.replayed - last.replayed)
        self._blocked.add(now.blocked - last.blocked)
        dropped = self._writer.notes_dropped
        self._dropped.add(dropped - self._dropped_before)
        self._dropped_before = dropped

    def _closed(self, live: Live, outcome: Outcome, _: Any) -> None:
        self._metrics.counter(signals.RUNS_CLOSED, workflow=live.workflow, outcome=outcome.value).add()
        seconds = (self._clock.now_us() - live.opened_us) / MICROS
        self._metrics.histogram(signals.RUN_DURATION, workflow=live.workflow).observe(max(0.0, seconds))


class CallObserver:
    """Hears of each attempt of a governed call."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def call_ended(self, target: str, outcome: str, took_s: float) -> None:
        metrics = self._metrics
        metrics.counter(signals.CALLS, target=target, outcome=outcome).add()
        metrics.histogram(signals.CALL_LATENCY, target=target).observe(took_s)
        if outcome != "ok":
            metrics.counter(signals.DOWNSTREAM_FAILURES, target=target).add()
