"""Observe: what engine and writer do, as metrics."""

from __future__ import annotations

from typing import Any

from rco.engine.engine import Engine, EngineStats
from rco.engine.live import Live
from rco.kit.clock import MICROS, Clock
from rco.model.run import Outcome
from rco.store.contract.keeper import Keeper
from rco.store.contract.rewind import Rewind
from rco.store.contract.writer import Flushed, Writer
from rco.telemetry import signals
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Counter, Histogram, Metrics
from rco.webhooks.book import letter_label

__all__ = ["observe", "observe_history"]


def observe(engine: Engine, writer: Writer, metrics: Metrics, clock: Clock, log: Log | None = None) -> None:
    """Keep ``metrics`` true from now on. Hot counters are brought up to date once a commit, not once a step."""
    Observer(engine, writer, metrics, clock, log)


def observe_history(keeper: Keeper, metrics: Metrics, log: Log) -> None:
    """Count and tell when the database lost commits; the count is there, at 0, from the beginning."""
    rewound = metrics.counter(signals.HISTORY_REWOUND)
    rewound.add(0)

    def tell(rewind: Rewind) -> None:
        rewound.add()
        log.error("history.rewound", reason=rewind.said, detail=rewind.cure)

    keeper.on_rewound(tell)


class Observer:
    """Turns counters that the engine keeps anyway into metrics."""

    def __init__(self, engine: Engine, writer: Writer, metrics: Metrics, clock: Clock, log: Log | None) -> None:
        self._engine, self._metrics, self._clock = engine, metrics, clock
        self._last = engine.stats()
        engine.on_quota(
            lambda space, quota: metrics.counter(signals.QUOTA_REFUSALS, namespace=space, quota=quota).add()
        )
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
        self._reads_failed = metrics.counter(signals.READS_FAILED)
        self._refused = metrics.counter(signals.RUNS_REFUSED)
        self._decisions = metrics.counter(signals.INTEROP_AUDIT_EMITTED, sink="store")
        self._queue_dropped = metrics.counter(signals.INTEROP_QUEUE_DROPPED, queue="audit")
        self._lines_lost = metrics.counter(signals.LOG_LINES_LOST)
        self._log, self._lines_lost_before = log, 0
        self._started: dict[str, Counter] = {}
        self._closed_by: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        metrics.gauge(signals.INTEROP_QUEUE_DEPTH, queue="writer").watch(lambda: writer.backlog)
        metrics.gauge(signals.WRITER_BACKLOG).watch(lambda: writer.backlog)
        metrics.gauge(signals.OPEN_RUNS, mode="hot").watch(lambda: engine.stats().open_in_memory)
        metrics.gauge(signals.PAYLOADS_WAITING).watch(lambda: engine.stats().payloads_waiting)
        self._dropped = metrics.counter(signals.INTEROP_AUDIT_DROPPED)
        self._dropped_before = writer.notes_dropped
        self._writer = writer
        writer.on_flush(self._flushed)
        engine.on_opened(self._opened)
        engine.on_closed(self._closed)
        engine.on_letter(self._lettered)
        engine.timers.on_fired.append(self._lateness_s.observe)

    def _flushed(self, flushed: Flushed) -> None:
        self._commits.add()
        self._records.add(flushed.records)
        self._size.add(flushed.size_bytes)
        self._decisions.add(flushed.decisions)
        self._commit_s.observe(flushed.took_s)
        self._catch_up(self._engine.stats())

    def _catch_up(self, now: EngineStats) -> None:
        # Most of these stand still in most commits, and a look costs less than an addition.
        last, self._last = self._last, now
        if now.steps_ok != last.steps_ok:
            self._steps_ok.add(now.steps_ok - last.steps_ok)
        if now.steps_failed != last.steps_failed:
            self._steps_failed.add(now.steps_failed - last.steps_failed)
        if now.in_doubt != last.in_doubt:
            self._in_doubt.add(now.in_doubt - last.in_doubt)
        if now.retries != last.retries:
            self._retries.add(now.retries - last.retries)
        if now.messages_taken != last.messages_taken:
            self._taken.add(now.messages_taken - last.messages_taken)
        if now.replayed != last.replayed:
            self._replayed.add(now.replayed - last.replayed)
        if now.blocked != last.blocked:
            self._blocked.add(now.blocked - last.blocked)
        if now.refused != last.refused:
            self._refused.add(now.refused - last.refused)
        if now.reads_failed != last.reads_failed:
            self._reads_failed.add(now.reads_failed - last.reads_failed)
        dropped = self._writer.notes_dropped
        if dropped != self._dropped_before:
            self._dropped.add(dropped - self._dropped_before)
            self._queue_dropped.add(dropped - self._dropped_before)
            self._dropped_before = dropped
        if self._log is not None and self._log.lines_lost != self._lines_lost_before:
            self._lines_lost.add(self._log.lines_lost - self._lines_lost_before)
            self._lines_lost_before = self._log.lines_lost

    def _opened(self, workflow: str) -> None:
        counter = self._started.get(workflow)
        if counter is None:
            counter = self._started[workflow] = self._metrics.counter(signals.RUNS_STARTED, workflow=workflow)
        counter.add()

    def _lettered(self, subscription: str) -> None:
        self._metrics.counter(signals.DEAD_LETTERS, subscription=letter_label(subscription)).add()

    def _closed(self, live: Live, outcome: Outcome, value: Any) -> None:
        cells = self._closed_by.get((live.workflow, outcome.value))
        if cells is None:
            metrics = self._metrics
            cells = self._closed_by[live.workflow, outcome.value] = (
                metrics.counter(signals.RUNS_CLOSED, workflow=live.workflow, outcome=outcome.value),
                metrics.histogram(signals.RUN_DURATION, workflow=live.workflow),
            )
        cells[0].add()
        cells[1].observe(max(0.0, (self._clock.now_us() - live.opened_us) / MICROS))
        if outcome is not Outcome.COMPLETED and isinstance(value, dict):
            for one in value.get("compensation") or ():
                result = "ok" if one["ok"] else "failed"
                self._metrics.counter(signals.COMPENSATIONS, outcome=result).add()
