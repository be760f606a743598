"""Start a run by name."""

from __future__ import annotations

import msgspec

from rco.engine.ask import StartAsk, Started
from rco.errors import NotFound
from rco.model.principal import Principal, Role
from rco.operations.access import require
from rco.operations.desk import Desk

__all__ = ["start"]


async def start(desk: Desk, principal: Principal, ask: StartAsk) -> Started:
    """Open a run in the principal's namespace. Needs the operator's role.

    When this returns the run is durable and will close exactly once. The same key with the same request gives the same
    run. Raises ``Conflict``, ``Overloaded``, ``NotFound`` or ``Misuse``.
    """
    require(principal, Role.OPERATOR)
    if ask.workflow.startswith("rco."):
        raise NotFound(f"no workflow named {ask.workflow!r}.", cure="What begins with rco. is the service's own.")
    corr_id = ask.corr_id or desk.ids.ulid()
    return await desk.engine.start_run(
        msgspec.structs.replace(
            ask,
            namespace=principal.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=corr_id,
            grant_for=desk.clearance.principal(principal, ask.workflow, corr_id),
        )
    )
