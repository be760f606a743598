"""The control API, version 1: one ASGI application under ``/v1``, and its description."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from litestar import Litestar, MediaType, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag

from rco import __version__
from rco.operations.access import Access
from rco.operations.desk import Desk
from rco.server.api import (
    audit,
    bulk,
    capabilities,
    dead_letters,
    endpoints,
    events,
    namespace_keys,
    namespaces,
    node,
    payloads,
    principals,
    queues,
    retention,
    runs,
    schedules,
    tail,
    targets,
    versions,
)
from rco.server.api.describe import whole
from rco.server.api.faults import answer
from rco.server.api.guard import ASGI, Guard
from rco.server.api.queries import only_known

__all__ = ["BODY_LIMIT_BYTES", "control_api", "document"]

BODY_LIMIT_BYTES = 1 << 20
READ_TIMEOUT_S = 5.0
API_VERSION = "1.0.0"
_RESOURCES = (
    runs,
    schedules,
    queues,
    bulk,
    versions,
    events,
    dead_letters,
    endpoints,
    targets,
    audit,
    tail,
    node,
    capabilities,
    principals,
    namespaces,
    namespace_keys,
    retention,
    payloads,
)
_TAGS = {
    "runs": "Executions of workflows",
    "bulk": "One command to many runs",
    "queues": "Where runs wait for their turn",
    "versions": "Versions of the application's code",
    "schedules": "When workflows are started by the clock",
    "events": "Verified events that were accepted",
    "dead letters": "Events that a subscription could not take",
    "endpoints": "Where webhooks are sent, and what was delivered",
    "targets": "Downstream APIs that may be called",
    "audit": "Evidence",
    "capabilities": "Rights, and the keys that they are made with",
    "retention": "What is dropped when its time is over",
    "payloads": "Large payloads in the object store",
    "namespaces": "Tenants, and what each may have",
    "principals": "Who may use this API, where, and for how long",
    "namespace keys": "What payloads are encrypted with",
    "node": "The process that answers",
}


def control_api(
    desk: Callable[[], Desk],
    access: Access,
    *,
    body_limit_bytes: int = BODY_LIMIT_BYTES,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> ASGI:
    """The application. ``desk`` is asked at each request, so a reload takes effect at once.

    Every route, the description included, needs ``Authorization: Bearer TOKEN``. It sends and expects no lifespan
    messages; whoever mounts it owns the lives of what is on the desk. A body over ``body_limit_bytes`` is refused, one
    that is not there within ``read_timeout_s`` too.
    """
    app = Litestar(
        route_handlers=[*_handlers(), describe],
        guards=[only_known],
        exception_handlers={Exception: answer, RecursionError: answer},
        request_max_body_size=body_limit_bytes,
        logging_config=None,
        debug=False,
        state=State({"desk": desk}),
        openapi_config=None,
    )
    return Guard(app, desk, access, body_limit_bytes=body_limit_bytes, read_timeout_s=read_timeout_s)


@cache
def document() -> bytes:
    """The OpenAPI 3.1 description of every route of the service as JSON, the same bytes at each call."""
    # Described by an application of its own: the one that serves would also serve Litestar's pages about it.
    app = Litestar(
        route_handlers=_handlers(),
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="RCO",
            version=API_VERSION,
            description=f"Runs, events, targets and evidence of the Remote-Call Orchestrator {__version__}.",
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            use_handler_docstrings=True,
            create_examples=False,
            tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"bearer": []}],
        ),
    )
    return whole(app.openapi_schema.to_schema())


@get("/v1/openapi.json", media_type=MediaType.JSON)
async def describe() -> bytes:
    """This description."""
    return document()


def _handlers() -> list[HTTPRouteHandler]:
    return [handler for resource in _RESOURCES for handler in resource.ROUTES]
