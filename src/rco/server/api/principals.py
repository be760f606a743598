"""/v1/principals: who may use this API."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from rco.model.wire_tenants import CreatedPrincipal, CreatePrincipal, PrincipalPage
from rco.operations import principals as verbs
from rco.server.api.asked import ERRORS, Ask, asked, segment

__all__ = ["ROUTES"]


@post("/v1/principals", tags=["principals"], operation_id="createPrincipal", responses=ERRORS)
async def create(request: Ask, data: JSONBody[CreatePrincipal]) -> CreatedPrincipal:
    """Make a principal. Its token is shown this once. Needs the administrator's role in all its namespaces."""
    desk, principal, _, _ = asked(request)
    return await verbs.create_principal(desk, principal, data)


@get("/v1/principals", tags=["principals"], operation_id="listPrincipals", responses=ERRORS)
async def list_(request: Ask) -> PrincipalPage:
    """Principals of the caller's namespaces, without their tokens. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.list_principals(desk, principal)


@delete("/v1/principals/{principal_id:str}", tags=["principals"], operation_id="revokePrincipal", responses=ERRORS)
async def revoke(
    request: Ask, principal_id: FromPath[str], reason: Annotated[str, QueryParameter(max_length=1000)] = ""
) -> None:
    """Take a principal's token away: here at once, on every node within five seconds."""
    desk, principal, _, _ = asked(request)
    await verbs.revoke_principal(desk, principal, segment(principal_id), reason)


ROUTES = [create, list_, revoke]
