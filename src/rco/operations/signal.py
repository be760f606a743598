"""Send a signal to a run."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from rco.errors import Refused
from rco.model.decision import Verb
from rco.model.principal import Principal
from rco.operations.command import command_decision, find_run_to
from rco.operations.desk import Desk
from rco.telemetry import signals

__all__ = ["signal"]


async def signal(
    desk: Desk, principal: Principal, run_id: bytes, name: str, value: Any, message_id: str, b3: str = ""
) -> bool:
    """Send ``value`` as signal ``name``. Needs the operator's role, or a capability for it; ``b3`` is the address of
    the request's body.

    When this returns the signal is durable: it is taken exactly once, or listed as unread. The same ``message_id``
    again has no effect; False says that it was already taken. Raises ``NotFound`` when the run is not open and
    ``Overloaded`` when it has too many unread signals.
    """
    row = await find_run_to(desk, principal, "signal", run_id, b3)
    decision = command_decision(desk, principal, row, Verb.SIGNAL, name=name)
    if desk.spaces is not None:
        try:
            desk.spaces.fits(row.namespace, value)
        except Refused:
            desk.metrics.counter(signals.QUOTA_REFUSALS, namespace=row.namespace, quota="payload_bytes").add()
            desk.writer.note(replace(decision, verb=Verb.REFUSE, allow=False, reason="quota payload_bytes"))
            raise
    outcome = "closed"
    try:
        accepted = await desk.engine.signal(
            run_id, name, value, message_id or f"signal:{desk.ids.ulid()}", decision, row.namespace
        )
        outcome = "accepted" if accepted else "duplicate"
    finally:
        desk.metrics.counter(signals.SIGNALS, outcome=outcome).add()
    return accepted
