"""Settle what is in doubt."""

from __future__ import annotations

from typing import Any

from rco.errors import Conflict, Misuse
from rco.kit.ids import id_text
from rco.model.decision import Verb
from rco.model.principal import Principal, Role
from rco.model.run import Mode
from rco.operations.access import require
from rco.operations.command import command_decision, find_run
from rco.operations.desk import Desk

__all__ = ["settle"]

VERDICTS = ("done", "failed", "again")


async def settle(
    desk: Desk, principal: Principal, run_id: bytes, key: str, verdict: str, value: Any, reason: str
) -> None:
    """Say what became of the call of step ``key`` that is in doubt. Needs the operator's role and a reason.

    ``done``: it happened and answered ``value``; ``failed``: it did not and shall not; ``again``: make another
    attempt. Raises ``NotFound`` when nothing of that name is in doubt, and
    ``Conflict`` for a run that is paused.
    """
    require(principal, Role.OPERATOR)
    if verdict not in VERDICTS:
        raise Misuse(f"verdict {verdict!r}.", cure=f"Give one of {', '.join(VERDICTS)}.")
    if not reason.strip():
        raise Misuse("settling needs a reason.", cure="Say how you know: --reason '...'.")
    row = await find_run(desk, principal, run_id)
    if row.mode is Mode.PAUSED:
        raise Conflict(f"run {id_text(run_id)} is paused.", cure="Resume it first: rco run resume.")
    decision = command_decision(desk, principal, row, Verb.SETTLE, reason, step=key, verdict=verdict)
    await desk.engine.settle(
        run_id, key, verdict, value, reason, f"principal:{principal.principal_id}", decision, row.namespace
    )
