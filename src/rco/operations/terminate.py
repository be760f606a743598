"""Terminate a run: close it at once, without running any of its code."""

from __future__ import annotations

from rco.errors import Conflict
from rco.kit.ids import id_text
from rco.model.decision import Verb
from rco.model.principal import Principal, Role
from rco.model.run import Mode
from rco.operations.access import require
from rco.operations.command import command_decision, find_run
from rco.operations.desk import Desk

__all__ = ["terminate"]


async def terminate(desk: Desk, principal: Principal, run_id: bytes, reason: str) -> None:
    """Close a run as terminated, in whatever state it is: no compensation runs, a call under way is not waited for, and
    its parent is told. Needs the operator's role.

    Who and why stands in its error, its journal and the chain. A run of another node is closed by that node, soon after
    this returns; a second call before that has no further effect. Raises ``NotFound``, and ``Conflict`` when the run is
    closed, or is just closing.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    if row.mode is Mode.CLOSED:
        raise Conflict(f"run {id_text(run_id)} is closed ({row.outcome}).", cure="Nothing is left to terminate.")
    decision = command_decision(desk, principal, row, Verb.TERMINATE, reason)
    await desk.engine.terminate(row, reason or "terminated", decision)
