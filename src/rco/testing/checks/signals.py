"""What was sent to a run is taken once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rco.model.journal import Kind
from rco.testing.checks.history import History

__all__ = ["heard", "taken"]


def taken(history: History) -> Iterator[str]:
    """An acknowledged signal is taken once or listed as unread; none is taken twice."""
    for run in history.runs.values():
        for message_id, count in Counter(
            record.body[0] for record in run.of(Kind.MESSAGE) if isinstance(record.body[0], str)
        ).items():
            if count > 1:
                yield f"{run.name} took message {message_id} {count} times"
    if history.rewinds:
        return
    for asked in history.log:
        if asked.verb != "signal":
            continue
        known = history.runs.get(asked.run_id)
        if known is None:
            continue
        count = sum(record.body[0] == asked.name for record in known.of(Kind.MESSAGE))
        unread = asked.name in history.tables.messages.get(asked.run_id, {})
        if count + unread != 1:
            # Refused because its run is closed, it was taken when it was sent before, without an answer.
            how = "acknowledged" if asked.acknowledged else "refused"
            yield f"signal {asked.name} was {how}, taken {count} times, {'unread' if unread else 'not listed'}"


def heard(history: History) -> Iterator[str]:
    """An accepted event starts what it must once, and an emitted one is taken by the run that waits for it."""
    if history.rewinds:
        return
    for asked in history.log:
        if asked.verb == "deliver":
            begun = [run for run in history.by_order.get(asked.order, ()) if run.row.workflow == "fulfil"]
            if len(begun) != 1:
                yield f"event {asked.name} was accepted and started {len(begun)} runs"
    for runs in history.by_order.values():
        emitted = [record.body[0] for run in runs for record in run.of(Kind.EMIT)]
        for run in runs:
            if run.row.workflow == "listener" and run.of(Kind.CLOSE):
                got = [record.body[2]["id"] for record in run.of(Kind.MESSAGE)]
                if got != emitted[:1]:
                    yield f"{run.name} took {got} of the events {emitted}"
