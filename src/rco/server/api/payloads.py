"""/v1/payloads: what is kept by reference, and what of it nobody uses."""

from __future__ import annotations

from litestar import get, post
from litestar.params import FromQuery

from rco.model.wire_payloads import PayloadSweep
from rco.operations.payload_gc import collect_payloads, show_payloads
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]


@get("/v1/payloads/gc", tags=["payloads"], operation_id="showPayloads", responses=ERRORS)
async def show(request: Ask) -> PayloadSweep:
    """What the last look of the node that answers found."""
    desk, principal, _, _ = asked(request)
    return await show_payloads(desk, principal)


@post("/v1/payloads/gc", tags=["payloads"], operation_id="collectPayloads", status_code=200, responses=ERRORS)
async def collect(request: Ask, preview: FromQuery[bool] = False) -> PayloadSweep:
    """Remove now what nothing has referred to for the whole of the grace; with ``preview`` only say how much that is.
    Needs the administrator's role over all namespaces."""
    desk, principal, _, _ = asked(request)
    return await collect_payloads(desk, principal, preview=preview)


ROUTES = [show, collect]
