"""Compensations ran wherever they had to."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.model.run import Outcome
from rco.testing.checks.history import History

__all__ = ["ran"]


def ran(history: History) -> Iterator[str]:
    """A trip that failed or was cancelled released what it had reserved; one that completed did not."""
    released = {done.order for done in history.done if done.what == "released"}
    reserved = {done.order for done in history.done if done.what == "reserved"}
    for run in history.runs.values():
        if run.row.workflow != "trip" or run.row.outcome is None:
            continue
        if run.row.outcome is Outcome.COMPLETED:
            if run.order in released and not history.rewinds:
                yield f"{run.name} completed and was undone"
        elif not run.of(Kind.COMPENSATE) and run.order in reserved:
            yield f"{run.name} is {run.row.outcome.value} and its compensations did not run"
        elif run.of(Kind.COMPENSATE) and run.order not in released:
            yield f"{run.name} is {run.row.outcome.value} and nothing was released"
