"""Retention removes what is over its time, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from rco.kit.clock import MICROS
from rco.model.retention import RetentionOptions
from rco.model.run import RunRow
from rco.testing.checks.history import History, Run
from rco.testing.clocks import EPOCH_US
from rco.testing.plan import SWEPT_WITHIN_S

__all__ = ["due", "keep_s", "kept", "told"]

_NEVER = float("inf")


def kept(history: History) -> Iterator[str]:
    """What was removed was closed for as long as its class says, as far as the nodes' clocks agree, and nobody who was
    still there had a claim on it: no open parent or child, no fork, no reader of a signal."""
    retention = history.plan.retention
    for gone in history.tables.removed.values():
        run = history.runs.get(gone.row.run_id)
        if run is None:
            continue
        kept_s = _NEVER if retention is None else keep_s(retention, gone.row)
        # As it stands in the row: the commit may have come much later.
        ended_s = ((gone.row.closed_us or 0) - EPOCH_US) / MICROS
        if run.closed_s > gone.at_s:
            yield f"{run.name} was removed at {gone.at_s:.3f}, and closed at {run.closed_s:.3f}"
        elif gone.at_s < ended_s + kept_s - history.plan.clocks_differ_s - 1e-6:
            yield f"{run.name} is kept for {kept_s:g} s and was removed {gone.at_s - ended_s:.3f} s after its end"
        for other in history.runs.values():
            if other.at_s[0] > gone.at_s:
                continue
            if _kin(run, other) and other.closed_s > gone.at_s:
                yield f"{run.name} was removed while {other.name} was open, its parent or child"
            if _forked(run, other) and history.gone_s(other.row.run_id) > gone.at_s:
                yield f"{run.name} was removed before {other.name}, which was forked from it"
        if any(one.kind == "signal" for one in history.tables.messages.get(gone.row.run_id, {}).values()):
            yield f"{run.name} was removed with a signal that nobody read"


def due(history: History) -> Iterator[str]:
    """What has been over its time for long, and may go, is gone."""
    retention = history.plan.retention
    if retention is None or history.stuck:
        return
    slack_s = SWEPT_WITHIN_S + history.plan.clocks_differ_s
    for row in history.tables.closed.values():
        run = history.runs.get(row.run_id)
        if run is None or history.tables.messages.get(row.run_id):
            continue
        kin = [other for other in history.runs.values() if _forked(run, other)]
        free_s = max([run.closed_s + keep_s(retention, row), *(history.gone_s(other.row.run_id) for other in kin)])
        if free_s + slack_s <= history.ended_s:
            yield f"{run.name} could have gone at {free_s:.3f} and is there at {history.ended_s:.3f}"
    keep_us = retention.keep_us(retention.events)
    if keep_us is not None:
        for event in history.tables.events:
            if event.received_us - EPOCH_US + keep_us <= (history.ended_s - slack_s) * MICROS:
                yield f"event {event.id} could have gone and is there at {history.ended_s:.3f}"


def told(history: History) -> Iterator[str]:
    """The evidence counts what was removed."""
    trims = [one["facts"] for one in history.decisions() if one.get("verb") == "trim"]
    runs, segments = sum(one["runs"] for one in trims), sum(one["segments"] for one in trims)
    gone = history.tables.removed.values()
    if (runs, segments) != (len(gone), sum(len(one.segments) for one in gone)):
        yield f"the evidence says that {runs} runs were removed with {segments} segments; there were {len(gone)} runs"


def keep_s(retention: RetentionOptions, row: RunRow) -> float:
    """How long a closed run is kept; worked out here once more: the first rule that fits."""
    outcome = "" if row.outcome is None else row.outcome.value
    for rule in retention.runs:
        if rule.workflow in ("*", row.workflow) and rule.outcome in ("*", outcome):
            kept_s = retention.classes[rule.keep].keep_s
            return _NEVER if kept_s is None else kept_s
    return _NEVER


def _kin(run: Run, other: Run) -> bool:
    return other.row.parent == run.row.run_id or run.row.parent == other.row.run_id


def _forked(run: Run, other: Run) -> bool:
    return (other.start.get("origin") or {}).get("run") == run.row.run_id
