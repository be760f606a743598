"""/v1/capabilities: mint, check, revoke, keys."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from rco.model.wire_capabilities import (
    CapabilityView,
    CheckAsk,
    KeyPage,
    MintAsk,
    Minted,
    RevocationPage,
    RevocationView,
    RevokeAsk,
)
from rco.operations import capabilities as verbs
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]

NUMBER_MAX = (1 << 63) - 1
"""The largest number that a store keeps."""


@post("/v1/capabilities", tags=["capabilities"], operation_id="mintCapability", responses=ERRORS)
async def mint(request: Ask, data: JSONBody[MintAsk]) -> Minted:
    """Mint a capability in the caller's namespace. Needs the administrator's role. The token is shown this once."""
    desk, principal, _, _ = asked(request)
    return await verbs.mint(desk, principal, data)


@post(
    "/v1/capabilities/check",
    tags=["capabilities"],
    operation_id="checkCapability",
    status_code=200,
    responses=ERRORS,
)
async def check(request: Ask, data: JSONBody[CheckAsk]) -> CapabilityView:
    """What a token says, and whether it is good here now."""
    desk, principal, _, _ = asked(request)
    return await verbs.check(desk, principal, data)


@post("/v1/capabilities/revocations", tags=["capabilities"], operation_id="revokeCapabilities", responses=ERRORS)
async def revoke(request: Ask, data: JSONBody[RevokeAsk]) -> RevocationView:
    """Revoke by id, key or namespace: here at once, on every node within a second. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.revoke(desk, principal, data)


@get("/v1/capabilities/revocations", tags=["capabilities"], operation_id="listRevocations", responses=ERRORS)
async def revocations(
    request: Ask,
    after: Annotated[int, QueryParameter(ge=0, le=NUMBER_MAX)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=verbs.PAGE_MAX)] = 100,
) -> RevocationPage:
    """Revocations, oldest first; ``after`` is the ``next`` of the page before."""
    desk, principal, _, _ = asked(request)
    return await verbs.revocations(desk, principal, after, limit)


@get("/v1/capabilities/keys", tags=["capabilities"], operation_id="listKeys", responses=ERRORS)
async def keys(request: Ask) -> KeyPage:
    """The root keys of this node, without their secrets."""
    desk, principal, _, _ = asked(request)
    return await verbs.keys(desk, principal)


ROUTES = [mint, check, revoke, revocations, keys]
