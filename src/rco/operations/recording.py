"""A decision that is durable before its verb goes on."""

from __future__ import annotations

from rco.model.decision import Decision
from rco.operations.desk import Desk
from rco.store.contract.changes import Admission, Admitted

__all__ = ["record"]


async def record(desk: Desk, *decisions: Decision) -> None:
    """Add ``decisions`` to the chain; when this returns they are durable. Raises ``StoreError``."""
    await desk.engine.submit(0, Admission(done=_later, failed=_later, accepted=list(decisions)), _later)
    if desk.trail is not None:
        for decision in decisions:
            desk.trail.tell(decision)


def _later(_: Admitted | BaseException) -> None:
    """Replaced when the admission is submitted; nothing follows from it."""
