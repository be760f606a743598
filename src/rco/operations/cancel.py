"""Cancel a run: ask it to stop, so that its compensations run."""

from __future__ import annotations

from rco.engine.queueing import waits_in_queue
from rco.errors import Conflict
from rco.kit.ids import id_text
from rco.model.decision import Verb
from rco.model.principal import Principal
from rco.model.run import Mode
from rco.operations.command import command_decision, find_run_to
from rco.operations.desk import Desk
from rco.operations.terminate import terminate

__all__ = ["cancel"]


async def cancel(
    desk: Desk, principal: Principal, run_id: bytes, reason: str, *, force: bool = False, b3: str = ""
) -> None:
    """Ask a run to stop: its compensations run first. Needs the operator's role, or a capability for it; ``b3`` is the
    address of the request's body.

    ``force``: terminate it instead, see ``terminate``. A second call has no further effect. Raises ``NotFound``, and
    ``Conflict`` when the run is already closed.
    """
    if force:
        await terminate(desk, principal, run_id, reason)
        return
    row = await find_run_to(desk, principal, "cancel", run_id, b3)
    if row.mode is Mode.CLOSED:
        raise Conflict(f"run {id_text(run_id)} is closed ({row.outcome}).", cure="Nothing is left to cancel.")
    if row.mode is Mode.BLOCKED:
        raise Conflict(
            f"run {id_text(run_id)} is blocked, so its compensations cannot run.",
            cure="Deploy code that fits and retry it, or terminate it.",
        )
    if row.mode is Mode.PAUSED and waits_in_queue(row) is None:
        raise Conflict(
            f"run {id_text(run_id)} is paused, so its compensations would not run.",
            cure="Resume it and cancel it then, or terminate it.",
        )
    decision = command_decision(desk, principal, row, Verb.CANCEL, reason)
    await desk.engine.cancel(run_id, reason, f"principal:{principal.principal_id}", decision, row.namespace)
