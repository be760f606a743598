"""/v1/targets: the downstream APIs we may call, and how they are."""

from __future__ import annotations

from litestar import get

from rco.model.wire import TargetPage
from rco.operations.targets import list_targets
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]


@get("/v1/targets", tags=["targets"], operation_id="listTargets", responses=ERRORS)
async def targets(request: Ask) -> TargetPage:
    """Every declared target and its state on this node."""
    desk, principal, _, _ = asked(request)
    return await list_targets(desk, principal)


ROUTES = [targets]
