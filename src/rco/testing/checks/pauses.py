"""A paused run does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rco.model.journal import Kind
from rco.testing.checks.history import History

__all__ = ["still"]

_ENDS = (Kind.STEP_END, Kind.STEP_RETRY, Kind.IN_DOUBT)
_SAID = (*_ENDS, Kind.VERSION)
"""A paused run can be moved to another version, and stays paused."""
_LEAVES = (Kind.RESUME, Kind.CLOSE)


def still(history: History) -> Iterator[str]:
    """From its PAUSE to its RESUME a run records nothing but how its attempts ended, and sends nothing. PAUSE and
    RESUME take turns."""
    for run in history.runs.values():
        paused = False
        for record in run.records:
            if record.kind == Kind.PAUSE:
                if paused:
                    yield f"{run.name} was paused twice"
                paused = True
            elif record.kind in _LEAVES:
                if record.kind == Kind.RESUME and not paused:
                    yield f"{run.name} was resumed and had not been paused"
                paused = False
            elif paused and record.kind not in _SAID:
                yield f"{run.name} was paused and recorded {Kind(record.kind).name} {record.key}"
        yield from _sent(history, run.row.run_id)


def _sent(history: History, run_id: bytes) -> Iterator[str]:
    if history.rewinds:
        return
    run = history.runs[run_id]
    since_s: float | None = None
    spans: list[tuple[float, float]] = []
    for record, at_s in zip(run.records, run.at_s, strict=True):
        if record.kind == Kind.PAUSE:
            since_s = at_s
        elif record.kind in _LEAVES and since_s is not None:
            spans.append((since_s, at_s))
            since_s = None
    for sent in history.sent_by_run.get(run_id, ()):
        for first_s, last_s in spans:
            # A call that waited for a limit when the pause came goes on, as one that is under way does.
            if first_s < sent.began_s and sent.at_s < last_s:
                yield f"{sent.node} sent {sent.step} of {run.name} at {sent.at_s:.6f}, paused since {first_s:.6f}"
