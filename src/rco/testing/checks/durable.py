"""What left a node was durable before it left, and what ended never begins again."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.testing.checks.history import History

__all__ = ["before", "never_again"]

_RESOLVING = (Kind.STEP_END, Kind.TIMER_FIRED, Kind.MESSAGE, Kind.EMIT, Kind.STATE, Kind.ATTRIBUTE, Kind.COMPENSATE)


def before(history: History) -> Iterator[str]:
    """When a request leaves, the run and every record of its branch that led to it are committed."""
    if history.rewinds:
        return
    for sent in history.sent:
        if sent.durable == 0:
            yield f"{sent.node} sent {sent.step} of run {sent.run_id.hex()}, whose start was not committed"
            continue
        run = history.runs.get(sent.run_id)
        if run is None:
            continue
        scope = sent.step.rpartition("/")[0]
        for seq, record in enumerate(run.records):
            if record.key == sent.step:
                break
            led = record.kind in _RESOLVING and record.key.rpartition("/")[0] == scope
            if led and seq >= sent.durable:
                yield (
                    f"{sent.node} sent {sent.step} of {run.name} when {sent.durable} records were committed; "
                    f"record {seq}, {Kind(record.kind).name} {record.key}, led to it"
                )
                break


def never_again(history: History) -> Iterator[str]:
    """After the commit of a step's end nothing is sent for it any more."""
    if history.rewinds:
        return
    for sent in history.sent:
        run = history.runs.get(sent.run_id)
        if run is None:
            continue
        for record, at_s in zip(run.records, run.at_s, strict=True):
            if record.kind == Kind.STEP_END and record.key == sent.step and sent.at_s > at_s:
                yield f"{sent.node} sent {sent.step} of {run.name} at {sent.at_s:.6f}, which had ended at {at_s:.6f}"
