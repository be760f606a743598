"""/v1/info: what this node says of itself."""

from __future__ import annotations

from litestar import get

from rco.model.wire import NodeInfo
from rco.operations.node import node_info
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]


@get("/v1/info", tags=["node"], operation_id="showInfo", responses=ERRORS)
async def info(request: Ask) -> NodeInfo:
    """Version, workflows and load of the node that answers."""
    desk, principal, _, _ = asked(request)
    return await node_info(desk, principal)


ROUTES = [info]
