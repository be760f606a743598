"""/v1/versions: which versions of the application there are, and moving runs from one to another."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from rco.model.wire import StartedRun
from rco.model.wire_versions import MoveRuns, MoveView, VersionPage
from rco.operations.version_run import MoveSpec
from rco.operations.versions import list_versions, show_move, start_move
from rco.server.api.asked import ERRORS, Ask, asked, identity

__all__ = ["ROUTES"]

_SAME = {200: ResponseSpec(StartedRun, description="The key stands for this move already", generate_examples=False)}


@get("/v1/versions", tags=["versions"], operation_id="listVersions", responses=ERRORS)
async def versions(request: Ask) -> VersionPage:
    """Every version of the application, with the nodes that have it and how many open runs are pinned to it."""
    desk, principal, _, _ = asked(request)
    return await list_versions(desk, principal)


@post("/v1/versions/moves", tags=["versions"], operation_id="moveRuns", responses={**ERRORS, **_SAME})
async def move(request: Ask, data: JSONBody[MoveRuns]) -> Response[StartedRun]:
    """Begin a verified move of the open runs of a version. It is a run: pause, resume and cancel it as one."""
    desk, principal, _, _ = asked(request)
    spec = MoveSpec(
        namespace=principal.namespace,
        start=data.start,
        to=data.to,
        workflow=data.workflow,
        rate_per_s=data.rate_per_s,
        preview=data.preview,
        before=b"",
        reason=data.reason,
    )
    started = await start_move(desk, principal, spec, data.key)
    return Response(started, status_code=201 if started.created else 200)


@get("/v1/versions/moves/{move_id:str}", tags=["versions"], operation_id="showMove", responses=ERRORS)
async def show(request: Ask, move_id: FromPath[str]) -> MoveView:
    """How far a move is, and which runs stayed."""
    desk, principal, _, _ = asked(request)
    return await show_move(desk, principal, identity(move_id, "move_id"))


ROUTES = [versions, move, show]
