"""Pause a run, and let it go on."""

from __future__ import annotations

from rco.errors import Conflict
from rco.kit.ids import id_text
from rco.model.decision import Verb
from rco.model.principal import Principal, Role
from rco.model.run import Mode
from rco.operations.access import require
from rco.operations.command import command_decision, find_run
from rco.operations.desk import Desk

__all__ = ["pause", "resume"]


async def pause(desk: Desk, principal: Principal, run_id: bytes, reason: str, message_id: str = "") -> bool:
    """Set a run aside: it begins nothing more, and signals, events and due times are kept. Needs the operator's role.

    Durable when this returns; attempts that are under way end and are recorded. False when it was paused before.
    Children are runs of their own and go on. Raises ``NotFound``, and ``Conflict`` for a run that is closed or blocked.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    if row.mode is Mode.PAUSED:
        return False
    if row.mode is Mode.CLOSED:
        raise Conflict(f"run {id_text(run_id)} is closed ({row.outcome}).", cure="Nothing is left to pause.")
    if row.mode is Mode.BLOCKED:
        raise Conflict(
            f"run {id_text(run_id)} is blocked, so it does nothing.", cure="It stays so until it is retried."
        )
    decision = command_decision(desk, principal, row, Verb.PAUSE, reason)
    await desk.engine.pause(run_id, reason, f"principal:{principal.principal_id}", decision, message_id, row.namespace)
    return True


async def resume(desk: Desk, principal: Principal, run_id: bytes, reason: str, message_id: str = "") -> None:
    """Let a paused run go on: what came and what fell due meanwhile is seen to now. Needs the operator's role.

    Of a run that is not paused it changes nothing: a pause that was asked for just before is taken back. Raises
    ``NotFound``, and ``Conflict`` for a run that is closed.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    if row.mode is Mode.CLOSED:
        raise Conflict(f"run {id_text(run_id)} is closed ({row.outcome}).", cure="Nothing is left to resume.")
    decision = command_decision(desk, principal, row, Verb.RESUME, reason)
    await desk.engine.resume(run_id, reason, f"principal:{principal.principal_id}", decision, message_id, row.namespace)
