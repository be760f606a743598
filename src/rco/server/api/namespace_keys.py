"""/v1/namespace-keys: make, rotate, list, erase."""

from __future__ import annotations

from litestar import get, post
from litestar.params import JSONBody

from rco.model.wire_namespace_keys import Erased, NamespaceKeyAsk, NamespaceKeyPage, NamespaceKeyView
from rco.operations import namespace_keys as verbs
from rco.server.api.asked import ERRORS, Ask, asked

__all__ = ["ROUTES"]


@get("/v1/namespace-keys", tags=["namespace keys"], operation_id="listNamespaceKeys", responses=ERRORS)
async def list_keys(request: Ask) -> NamespaceKeyPage:
    """Every key of the namespaces that the caller may enter, without its bytes."""
    desk, principal, _, _ = asked(request)
    return await verbs.list_keys(desk, principal)


@post("/v1/namespace-keys", tags=["namespace keys"], operation_id="createNamespaceKey", responses=ERRORS)
async def create(request: Ask, data: JSONBody[NamespaceKeyAsk]) -> NamespaceKeyView:
    """Encrypt the payloads of a namespace from now on. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.create(desk, principal, data)


@post("/v1/namespace-keys/rotations", tags=["namespace keys"], operation_id="rotateNamespaceKey", responses=ERRORS)
async def rotate(request: Ask, data: JSONBody[NamespaceKeyAsk]) -> NamespaceKeyView:
    """Give a namespace its next key; those before it go on decrypting. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.rotate(desk, principal, data)


@post("/v1/namespace-keys/erasures", tags=["namespace keys"], operation_id="eraseNamespaceKeys", responses=ERRORS)
async def erase(request: Ask, data: JSONBody[NamespaceKeyAsk]) -> Erased:
    """Erase the keys of a namespace, and with them all that they encrypted: here at once, on every node within a
    second, for good. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.erase(desk, principal, data)


ROUTES = [list_keys, create, rotate, erase]
