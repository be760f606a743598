"""/v1/retention: what is dropped, and when."""

from __future__ import annotations

from litestar import get, post
from litestar.params import FromQuery

from rco.model.wire_tenants import RetentionView
from rco.operations.retention import run_retention, show_retention
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]


@get("/v1/retention", tags=["retention"], operation_id="showRetention", responses=ERRORS)
async def show(request: Ask) -> RetentionView:
    """What was dropped last by the node that answers."""
    desk, principal, _, _ = asked(request)
    return await show_retention(desk, principal)


@post("/v1/retention/run", tags=["retention"], operation_id="runRetention", status_code=200, responses=ERRORS)
async def run(request: Ask, preview: FromQuery[bool] = False) -> RetentionView:
    """Drop now what is over its time; with ``preview`` only say how much that is. Needs the administrator's role over
    all namespaces."""
    desk, principal, _, _ = asked(request)
    return await run_retention(desk, principal, preview=preview)


ROUTES = [show, run]
