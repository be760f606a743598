"""Leave a record of what a principal did, durable before it is answered."""

from __future__ import annotations

from rco.model.decision import Decision, Verb
from rco.model.principal import Principal
from rco.operations.desk import Desk
from rco.store.contract.changes import Admission, Admitted

__all__ = ["record"]


async def record(
    desk: Desk, principal: Principal, verb: Verb, subject: str, reason: str, facts: dict[str, str | int | bool]
) -> None:
    """When this returns the decision is in the chain."""
    decision = Decision(
        verb=verb,
        at_us=desk.clock.now_us(),
        actor=f"principal:{principal.principal_id}",
        subject=subject,
        reason=reason,
        facts=facts,
    )
    await desk.engine.submit(0, Admission(done=_later, failed=_later, accepted=[decision]), _later)
    if desk.trail is not None:
        desk.trail.tell(decision)


def _later(_: Admitted | BaseException) -> None:
    """Replaced when the admission is submitted; nothing follows from it."""
