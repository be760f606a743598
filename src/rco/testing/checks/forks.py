"""A fork does what the run it was forked from did."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.model.run import Outcome
from rco.testing.checks.history import History

__all__ = ["alike"]


def alike(history: History) -> Iterator[str]:
    """An acknowledged fork is there once; it begins with what the other run did, and ends as that did."""
    forks = {run_id: run for run_id, run in history.runs.items() if run.start.get("origin")}
    for asked in history.log:
        if asked.verb == "fork" and not history.rewinds and asked.acknowledged != (asked.run_id in forks):
            yield f"the fork of {asked.order} was {'acknowledged' if asked.acknowledged else 'refused'}"
    for run in forks.values():
        origin = run.start["origin"]
        original = history.runs.get(origin["run"])
        if original is None:
            if not history.rewinds:
                yield f"{run.name} is a fork of a run that is not there"
            continue
        copied = run.records[1 : origin["copied"]]
        if any(record not in original.records for record in copied) and not history.rewinds:
            yield f"{run.name} has records that {original.name} has not"
        done = {record.key for record in copied if record.kind == Kind.STEP_END}
        for sent in history.sent_by_run.get(run.row.run_id, ()):
            if sent.step in done:
                yield f"{run.name} sent {sent.step} again, which it was forked behind"
        both = [one.of(Kind.CLOSE)[0].body for one in (run, original) if one.row.outcome is Outcome.COMPLETED]
        if len(both) == 2 and both[0] != both[1]:
            yield f"{run.name} closed as {both[0]}, {original.name} as {both[1]}"
