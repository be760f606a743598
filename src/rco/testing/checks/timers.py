"""No timer and no retry is early."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.testing.checks.history import History

__all__ = ["fired", "retried"]


def fired(history: History) -> Iterator[str]:
    """What fired was set, and its time had come by the clock of who fired it. A sleep that ended had fired."""
    for run in history.runs.values():
        due: dict[str, int] = {}
        gone: set[str] = set()
        for record in run.records:
            if record.kind == Kind.TIMER_SET:
                due[record.key] = record.body
            elif record.kind == Kind.WAIT and record.body.get("due_us") is not None:
                due[record.key] = record.body["due_us"]
            elif record.kind == Kind.TIMER_FIRED:
                gone.add(record.key)
                if record.key not in due:
                    yield f"{run.name}: timer {record.key} fired and was never set"
                elif record.at_us < due[record.key]:
                    yield f"{run.name}: timer {record.key} fired {due[record.key] - record.at_us} us early"
        if run.row.workflow == "nap" and run.row.outcome == "completed" and "sleep" not in gone:
            yield f"{run.name} completed without having slept"


def retried(history: History) -> Iterator[str]:
    """The next attempt does not leave before the retry that was written down is due, by the clock of who sends it.

    Where wall clocks jump, a retry counts the seconds that passed and not what the wall says, so nothing is compared.
    """
    if history.plan.clock_jumps or history.rewinds:
        return
    due: dict[tuple[bytes, str, int], int] = {}
    for run in history.runs.values():
        for record in run.of(Kind.STEP_RETRY):
            tried, due_us, _ = record.body
            due[run.row.run_id, record.key, tried + 1] = due_us
    for sent in history.sent:
        due_us = due.get((sent.run_id, sent.step, sent.attempt), 0)
        if sent.wall_us < due_us:
            yield f"{sent.node} sent attempt {sent.attempt} of {sent.step} {due_us - sent.wall_us} us early"
