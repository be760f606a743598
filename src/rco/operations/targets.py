"""Look at targets."""

from __future__ import annotations

from rco.kit.clock import iso
from rco.model.principal import Principal, Role
from rco.model.wire import TargetPage, TargetView
from rco.operations.access import require
from rco.operations.desk import Desk

__all__ = ["list_targets"]


async def list_targets(desk: Desk, principal: Principal) -> TargetPage:
    """Every declared target by name, with its state on this node. Needs the viewer's role."""
    require(principal, Role.VIEWER)
    views: list[TargetView] = []
    declared = {target.name: target for target in desk.targets.declared()}
    for state in desk.targets.state():
        target = declared[state.name]
        views.append(
            TargetView(
                name=state.name,
                base_url=target.base_url,
                allow=[f"{','.join(rule.methods)} {rule.path}" for rule in target.allow],
                breaker=state.breaker,
                in_flight=state.in_flight,
                waiting=state.waiting,
                concurrency=state.concurrency,
                rate_per_s=state.rate_per_s,
                calls=state.calls,
                outcomes=state.outcomes,
                closed_until=iso(state.closed_until_us) if state.closed_until_us is not None else None,
                fallback=target.fallback is not None,
            )
        )
    return TargetPage(items=sorted(views, key=lambda view: view.name))
