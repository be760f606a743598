"""Everything that was begun ends, once, as it must."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from rco.model.journal import Kind
from rco.model.run import Mode
from rco.testing.checks.history import History, Run

__all__ = ["live", "outcomes", "quiet", "starts"]


def quiet(history: History) -> Iterator[str]:
    """No error is left that nobody handled, but those of a node that meets a database which lost commits, and of one
    that opens nothing because it does not know whether a key was erased."""
    for problem in history.problems:
        known = history.rewinds and "Rewound" in problem
        if not (known or (history.plan.erasure and "the store is silent" in problem)):
            yield problem


def live(history: History) -> Iterator[str]:
    """After the faults have stopped, everything ends."""
    if not history.stuck:
        return
    yield history.stuck
    for row in history.tables.runs.values():
        run = history.runs.get(row.run_id)
        last = f", last {Kind(run.records[-1].kind).name} {run.records[-1].key}" if run and run.records else ""
        mail = len(history.tables.messages.get(row.run_id, ()))
        why = f": {row.detail.decode()}" if row.detail else ""
        yield f"run {row.run_id.hex()} of {row.workflow} is {Mode(row.mode).name}{last}, {mail} unread{why}"


def starts(history: History) -> Iterator[str]:
    """An acknowledged start is one run, and a key never stands for two: it is free again when its run was removed."""
    told: dict[str, set[bytes]] = defaultdict(set)
    for asked in history.log:
        if asked.verb == "start":
            told[asked.name].add(asked.run_id)
    for key, ids in told.items():
        if len(ids) > 1 and not history.rewinds:
            yield f"start {key} was acknowledged as {len(ids)} runs"
        for run_id in ids:
            if run_id not in history.runs and not history.rewinds:
                yield f"start {key} was acknowledged, but there is no run {run_id.hex()}"
    opened: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in history.runs.values():
        if run.row.key is not None:
            opened[run.row.workflow, run.row.key].append(run)
    for (_, key), runs in opened.items():
        runs.sort(key=lambda run: run.at_s[0])
        if any(after.at_s[0] < history.gone_s(before.row.run_id) for before, after in pairwise(runs)):
            yield f"key {key} opened {len(runs)} runs"


def outcomes(history: History) -> Iterator[str]:
    """A closed run has one CLOSE, as its last record, that says what its row says and its workflow must."""
    for run in history.runs.values():
        closes = run.of(Kind.CLOSE)
        if run.row.mode is not Mode.CLOSED:
            if closes:
                yield f"{run.name} has a CLOSE record and is open"
            continue
        if len(closes) != 1 or run.records[-1].kind != Kind.CLOSE:
            yield f"{run.name} is closed with {len(closes)} CLOSE records, the last record is {run.records[-1].kind}"
            continue
        said = closes[0].body[0]
        if run.row.outcome is None or run.row.outcome.value != said:
            yield f"{run.name} closed as {said}, its row says {run.row.outcome}"
        if said not in _allowed(history, run):
            yield f"{run.name} should not have closed as {closes[0].body}"


def _allowed(history: History, run: Run) -> set[str]:
    given = run.start.get("input") or {}
    if run.row.parent is not None:
        # A parent may let its child go.
        return {"completed", "cancelled"}
    if run.row.workflow == "trip":
        cancelled = any(asked.verb == "cancel" and asked.run_id == run.row.run_id for asked in history.log)
        return {"failed" if given["fails"] else "completed", *(("cancelled",) if cancelled else ())}
    if any(record.body["verdict"] == "failed" for record in run.of(Kind.SETTLED)):
        return {"failed"}
    return {"completed"}
