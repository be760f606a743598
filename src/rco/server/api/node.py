"""/v1/info and /v1/node/drain: what this node says of itself, and taking no more work."""

from __future__ import annotations

from litestar import get, post

from rco.model.wire import NodeInfo
from rco.operations.drain import drain as drain_node
from rco.operations.node import node_info
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]


@get("/v1/info", tags=["node"], operation_id="showInfo", responses=ERRORS)
async def info(request: Ask) -> NodeInfo:
    """Version, workflows and load of the node that answers."""
    desk, principal, _, _ = asked(request)
    return await node_info(desk, principal)


@post("/v1/node/drain", tags=["node"], operation_id="drainNode", status_code=200, responses=ERRORS)
async def drain(request: Ask) -> NodeInfo:
    """Take no new work from now on: starts and events are refused, and the node is not ready. What is open goes on.

    Needs the administrator's role. Only a restart takes it back.
    """
    desk, principal, _, _ = asked(request)
    return await drain_node(desk, principal)


ROUTES = [info, drain]
