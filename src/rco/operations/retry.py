"""Retry a run that could not go on."""

from __future__ import annotations

from rco.engine.ask import StartAsk
from rco.errors import Conflict, NotFound
from rco.kit.ids import id_text
from rco.model.decision import Verb
from rco.model.journal import decode_segment
from rco.model.principal import Principal, Role
from rco.model.run import Mode, Outcome
from rco.operations.access import require
from rco.operations.command import command_decision, find_run
from rco.operations.desk import Desk

__all__ = ["retry"]


async def retry(desk: Desk, principal: Principal, run_id: bytes, reason: str = "") -> bytes:
    """Give a run another try; returns the run that goes on. Needs the operator's role.

    A blocked run is replayed on the code there is now. A run that closed without completing is started anew with the
    same input, as a run of its own, once: a second call gives the same new run. Raises ``Conflict`` for a run that is
    still going on, is in doubt, or completed.
    """
    require(principal, Role.OPERATOR)
    row = await find_run(desk, principal, run_id)
    if row.mode is Mode.BLOCKED:
        decision = command_decision(desk, principal, row, Verb.RETRY, reason)
        desk.writer.changes(0).decisions.append(decision)
        if not await desk.engine.revive(row):
            raise Conflict(
                f"run {id_text(run_id)} is still blocked.", cure="See `rco run show` for what its code must ask for."
            )
        return run_id
    if row.mode is Mode.PAUSED:
        raise Conflict(f"run {id_text(run_id)} is paused.", cure="Let it go on: rco run resume.")
    if row.mode is Mode.IN_DOUBT:
        raise Conflict(f"run {id_text(run_id)} is in doubt.", cure="Settle it: rco run settle.")
    if row.mode is not Mode.CLOSED:
        raise Conflict(f"run {id_text(run_id)} is still going on.", cure="Wait for it, or cancel it first.")
    if row.outcome is Outcome.COMPLETED:
        raise Conflict(f"run {id_text(run_id)} completed.", cure="Start another one with rco run start.")
    desk.writer.changes(0).decisions.append(command_decision(desk, principal, row, Verb.RETRY, reason))
    segments = await desk.reader.journal(run_id)
    if not segments:
        raise NotFound(f"the journal of run {id_text(run_id)} is gone.", cure="Start it anew with its input.")
    body = decode_segment(segments[0].data)[0].body
    started = await desk.engine.start_run(
        StartAsk(
            workflow=row.workflow,
            input=body.get("input"),
            key=f"retry:{id_text(run_id)}",
            namespace=row.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=row.corr_id,
            trace=body.get("trace") or "",
            event_id=body.get("event_id") or "",
            grant_for=desk.clearance.again(body.get("grant"), run_id),
        )
    )
    return started.run_id
