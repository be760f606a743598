"""Drain a node: it takes no new work, and finishes what it has."""

from __future__ import annotations

from rco.model.decision import Decision, Verb
from rco.model.principal import Principal, Role
from rco.model.wire import NodeInfo
from rco.operations.access import require_everywhere
from rco.operations.desk import Desk
from rco.operations.node import node_info

__all__ = ["drain"]


async def drain(desk: Desk, principal: Principal) -> NodeInfo:
    """Refuse new events and starts with ``BACKPRESSURE`` from now on, and be not ready. Needs the administrator's role
    over all namespaces.

    Open runs go on and may be signalled, settled and cancelled; a restart takes new work again. A second call changes
    nothing. Leaves a decision.
    """
    require_everywhere(principal, Role.ADMIN)
    if not desk.engine.draining:
        desk.engine.drain()
        desk.shut()
        desk.log.info("node.draining")
        desk.note(
            Decision(
                verb=Verb.NODE,
                at_us=desk.clock.now_us(),
                actor=f"principal:{principal.principal_id}",
                subject=desk.info.get("node", ""),
                reason="draining",
            )
        )
    return await node_info(desk, principal)
