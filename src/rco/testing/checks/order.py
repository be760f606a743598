"""Signals that one client sent one after the other are taken in that order."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.testing.checks.history import History

__all__ = ["of_signals"]


def of_signals(history: History) -> Iterator[str]:
    """Each was acknowledged before the next was sent, so the order is theirs."""
    if history.rewinds:
        return
    sent: dict[bytes, list[str]] = {}
    for asked in history.log:
        if asked.verb == "signal":
            sent.setdefault(asked.run_id, []).append(asked.name)
    for run_id, names in sent.items():
        run = history.runs.get(run_id)
        if run is None:
            continue
        took = [record.body[0] for record in run.of(Kind.MESSAGE)]
        if took != names[: len(took)]:
            yield f"{run.name} took {took}; they were sent as {names}"
