"""Runs are found by what they said."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from rco.model.attribute import AttributeFilter, Type
from rco.model.journal import Kind
from rco.testing.checks.history import History, Run

__all__ = ["found"]

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, ">=": operator.ge}


def found(history: History) -> Iterator[str]:
    """A list by an attribute, asked for when all has come to rest, has the runs whose journals say so, and no other:
    what their start declared, what they said last, and what a fork has from the run before it."""
    if history.stuck:
        return
    there = [run for run in history.runs.values() if run.row.run_id not in history.tables.removed]
    for asked in history.log:
        if asked.where is None:
            continue
        wanted = {run.row.run_id for run in there if _says(run, asked.where)}
        for run_id in wanted - set(asked.found):
            yield f"{history.runs[run_id].name} says {_text(asked.where)} and is not on the list of it"
        for run_id in set(asked.found) - wanted:
            yield f"run {run_id.hex()} does not say {_text(asked.where)} and is on the list of it"
        if len(set(asked.found)) != len(asked.found):
            yield f"the list of {_text(asked.where)} has a run twice"


def _text(where: AttributeFilter) -> str:
    return f"{where.name} {where.op} {where.value}"


def _says(run: Run, where: AttributeFilter) -> bool:
    """Worked out here once more, from the records alone."""
    said: list[Any] | None = None
    for record in run.records:
        if record.kind == Kind.START:
            bodies = record.body.get("attributes") or []
        elif record.kind == Kind.ATTRIBUTE:
            bodies = [record.body]
        else:
            continue
        said = next((body for body in reversed(bodies) if body[0] == where.name), said)
    if said is None or said[1] == Type.GONE:
        return False
    _, kind, text, number = said
    if kind == Type.TEXT:
        return where.op == "=" and text == where.value
    value = float(where.value == "true") if kind == Type.BOOL else float(where.value)
    return _HOLDS[where.op](number, value)
