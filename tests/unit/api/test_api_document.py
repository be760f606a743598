"""The description is OpenAPI 3.1, lists every route there is, and is the one that is checked in."""

from __future__ import annotations

import json
from pathlib import Path

from litestar.handlers import HTTPRouteHandler

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
from rco.server.api.app import document
from rco.server.health import Health

FILE = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"
REFRESH = (
    "renew it: python -c 'import sys; from rco.server.api.app import document; sys.stdout.buffer.write(document())' "
    "> docs/reference/openapi.json"
)


def handlers() -> list[HTTPRouteHandler]:
    return [
        handler
        for module in (
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
        for handler in module.ROUTES
    ]


def test_it_is_current() -> None:
    assert FILE.read_bytes() == document(), REFRESH


def test_it_lists_every_route() -> None:
    told = json.loads(document())
    assert told["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
    served = {
        (method, path.replace(":str}", "}"))
        for handler in handlers()
        for path in handler.paths
        for method in handler.http_methods
    }
    beside = {("GET", path) for path in Health.PATHS} | {("POST", "/webhooks/{provider}"), ("GET", "/v1/openapi.json")}
    beside |= {("GET", "/graphql"), ("POST", "/graphql")}
    assert described == served | beside


def test_every_handler_is_among_the_routes() -> None:
    for module in (runs, schedules, bulk, events, dead_letters, targets, audit, node):
        found = [one for one in vars(module).values() if isinstance(one, HTTPRouteHandler)]
        assert sorted(map(id, found)) == sorted(map(id, module.ROUTES)), module.__name__


def test_every_operation_has_a_name_and_says_how_it_refuses() -> None:
    told = json.loads(document())
    names = [item["operationId"] for path in told["paths"].values() for item in path.values()]
    assert len(names) == len(set(names))
    for path, item in told["paths"].items():
        for operation in item.values():
            if path.startswith("/v1/"):
                assert "401" in operation["responses"], path
                assert operation.get("security", told["security"]) == [{"bearer": []}], path
