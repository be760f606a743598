"""No timer and no retry is early."""

from __future__ import annotations

from collections import defaultdict
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
    due: dict[tuple[bytes, str, int], list[tuple[float, int]]] = defaultdict(list)
    for run in history.runs.values():
        for record, at_s in zip(run.records, run.at_s, strict=True):
            if record.kind == Kind.STEP_RETRY:
                tried, due_us, _ = record.body
                due[run.row.run_id, record.key, tried + 1].append((at_s, due_us))
    for sent in history.sent:
        # One that waits for a limit is written down more than once under the same number.
        known = due.get((sent.run_id, sent.step, sent.attempt), ())
        due_us = max((due_us for at_s, due_us in known if at_s < sent.began_s), default=0)
        if sent.wall_us < due_us:
            yield f"{sent.node} sent attempt {sent.attempt} of {sent.step} {due_us - sent.wall_us} us early"
