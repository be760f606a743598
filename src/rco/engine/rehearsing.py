"""Rehearsal: what a run did is replayed on the code there is, without arming or writing anything."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.engine.program import Programs
from rco.engine.replaying import replay
from rco.errors import CodeChanged, RcoError
from rco.model.journal import Kind, Record
from rco.model.run import Outcome, RunRow

__all__ = ["Fit", "rehearse"]

_pack = msgspec.msgpack.Encoder(order="deterministic").encode
_unpack = msgspec.msgpack.Decoder().decode


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a run's journal fits the code. ``why`` and ``diff`` say what does not: what was recorded, and what the
    code asks for instead. ``moves``: which requests have moved the run already, where that was asked."""

    fits: bool
    why: str = ""
    diff: dict[str, Any] | None = None
    moves: tuple[str, ...] = ()


def rehearse(programs: Programs, row: RunRow, records: list[Record]) -> Fit:
    """Replay ``records``; of a run that closed the end must be the same too. Pure: may be called for any journal, as
    often as one likes. Raises nothing for what does not fit."""
    try:
        live = replay(programs, row, records)
    except CodeChanged as changed:
        return Fit(fits=False, why=changed.message, diff=changed.diff)
    except RcoError as problem:
        return Fit(fits=False, why=problem.message)
    except Exception as problem:  # noqa: BLE001 - an author's code may do anything
        return Fit(fits=False, why=f"{type(problem).__name__}: {problem}")
    machine = live.machine
    try:
        if machine.blocked is not None:
            return Fit(fits=False, why=str(machine.blocked))
        if records[-1].kind != Kind.CLOSE:
            return Fit(fits=True)
        outcome, value = records[-1].body
        if outcome == Outcome.TERMINATED or (isinstance(value, dict) and value.get("code") == "misuse"):
            # It was closed from outside, or for what it returned.
            return Fit(fits=True)
        machine.decline_all()
        if machine.verdict is None:
            asks = [{"key": key, "asks": op.describe()} for key, op in list(machine.pending.items())[:20]]
            return Fit(
                fits=False,
                why="the run had closed, and the code goes on.",
                diff={"recorded": {"kind": "CLOSE", "outcome": outcome}, "code": asks},
            )
        now = [machine.verdict[0].value, _unpack(_pack(machine.verdict[1]))]
        if outcome == now[0] != Outcome.COMPLETED:
            value, now[1] = _without_place(value), _without_place(now[1])
        if _pack(now) != _pack([outcome, value]):
            return Fit(
                fits=False,
                why="the run ends otherwise.",
                diff={"recorded": {"outcome": outcome, "value": value}, "code": {"outcome": now[0], "value": now[1]}},
            )
        return Fit(fits=True)
    finally:
        machine.evict()


def _without_place(value: Any) -> Any:
    """An error without its line of the code: lines move, and nothing is decided by them."""
    if isinstance(value, dict):
        return {name: one for name, one in value.items() if name != "where"}
    return value
