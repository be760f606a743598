"""/v1/targets: the downstream APIs we may call, how they are, and their kill switch."""

from __future__ import annotations

from litestar import get, post
from litestar.params import FromPath, JSONBody

from rco.model.wire_targets import CloseAsk, ClosureView, OpenAsk, Opened, TargetPage, TargetView
from rco.operations.close_target import close_target, open_target
from rco.operations.targets import list_targets, show_target
from rco.server.api.asked import ERRORS, Ask, asked, segment

__all__ = ["ROUTES"]


@get("/v1/targets", tags=["targets"], operation_id="listTargets", responses=ERRORS)
async def targets(request: Ask) -> TargetPage:
    """Every declared target and its state on this node."""
    desk, principal, _, _ = asked(request)
    return await list_targets(desk, principal)


@get("/v1/targets/{name:str}", tags=["targets"], operation_id="showTarget", responses=ERRORS)
async def target(request: Ask, name: FromPath[str]) -> TargetView:
    """One target, with every node's part of its limits."""
    desk, principal, _, _ = asked(request)
    return await show_target(desk, principal, segment(name))


@post(
    "/v1/targets/{name:str}/close",
    tags=["targets"],
    operation_id="closeTarget",
    status_code=200,
    responses=ERRORS,
)
async def close(request: Ask, name: FromPath[str], data: JSONBody[CloseAsk]) -> ClosureView:
    """Let no call out any more: here at once, on every node within a second. ``*`` with a namespace: every target."""
    desk, principal, _, _ = asked(request)
    return await close_target(desk, principal, segment(name), data)


@post(
    "/v1/targets/{name:str}/open",
    tags=["targets"],
    operation_id="openTarget",
    status_code=200,
    responses=ERRORS,
)
async def open_(request: Ask, name: FromPath[str], data: JSONBody[OpenAsk]) -> Opened:
    """Open again what was closed. A second call changes nothing."""
    desk, principal, _, _ = asked(request)
    return Opened(was=await open_target(desk, principal, segment(name), data))


ROUTES = [targets, target, close, open_]
