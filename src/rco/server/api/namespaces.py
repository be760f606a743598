"""/v1/namespaces: tenants, and what each may have."""

from __future__ import annotations

from litestar import get, patch, post
from litestar.params import FromPath, JSONBody

from rco.model.wire_tenants import CreateNamespace, NamespacePage, NamespaceView, SetNamespace
from rco.operations import namespaces as verbs
from rco.server.api.asked import ERRORS, Ask, asked, segment

__all__ = ["ROUTES"]


@post("/v1/namespaces", tags=["namespaces"], operation_id="createNamespace", responses=ERRORS)
async def create(request: Ask, data: JSONBody[CreateNamespace]) -> NamespaceView:
    """Make a namespace. Needs the administrator's role over all namespaces."""
    desk, principal, _, _ = asked(request)
    return await verbs.create_namespace(desk, principal, data)


@get("/v1/namespaces", tags=["namespaces"], operation_id="listNamespaces", responses=ERRORS)
async def list_(request: Ask) -> NamespacePage:
    """The namespaces that the caller may enter, with what they have."""
    desk, principal, _, _ = asked(request)
    return await verbs.list_namespaces(desk, principal)


@get("/v1/namespaces/{namespace:str}", tags=["namespaces"], operation_id="showNamespace", responses=ERRORS)
async def show(request: Ask, namespace: FromPath[str]) -> NamespaceView:
    """One namespace with what it has."""
    desk, principal, _, _ = asked(request)
    return await verbs.show_namespace(desk, principal, segment(namespace))


@patch("/v1/namespaces/{namespace:str}", tags=["namespaces"], operation_id="setNamespace", responses=ERRORS)
async def change(request: Ask, namespace: FromPath[str], data: JSONBody[SetNamespace]) -> NamespaceView:
    """Change its state and quotas: here at once, on every node within a second. What was accepted goes on."""
    desk, principal, _, _ = asked(request)
    return await verbs.set_namespace(desk, principal, segment(namespace), data)


ROUTES = [create, list_, show, change]
