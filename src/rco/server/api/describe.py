"""The description of every route there is: what Litestar finds in the handlers, and what is served beside them."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["BESIDE", "whole"]


def _answer(text: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema or {"type": "object"}}}}


_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_REFUSED = {
    str(status): _answer(text, _PROBLEM)
    for status, text in (
        (400, "MALFORMED, BAD_ORIGIN"),
        (401, "UNAUTH: the signature is missing or wrong"),
        (403, "POLICY_BLOCKED: outside of its time, or the provider is off"),
        (404, "NOT_FOUND: no such provider"),
        (405, "METHOD"),
        (408, "TIMEOUT"),
        (413, "BODY_LIMIT"),
        (415, "MEDIA_TYPE"),
        (429, "RATE_LIMIT, BACKPRESSURE"),
        (431, "HEADER_LIMIT"),
        (500, "INTERNAL"),
        (503, "BACKPRESSURE, DOWNSTREAM_UNAVAILABLE"),
    )
}
_STATE = {
    "type": "object",
    "required": ["degraded", "missing", "retry_after"],
    "properties": {
        "degraded": {"type": "boolean"},
        "missing": {"type": "array", "items": {"type": "string"}},
        "retry_after": {"type": "integer"},
    },
}


_OPERATION = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": {
        "query": {"type": "string"},
        "variables": {"type": ["object", "null"]},
        "operationName": {"type": ["string", "null"]},
        "extensions": {"type": ["object", "null"]},
    },
}
_OPERATIONS = {"type": "array", "items": _OPERATION, "minItems": 1}
_GRAPHQL_KIND = "application/graphql-response+json"
_GRAPHQL = {
    "200": {
        "description": "The answer; errors stand in it",
        "content": {kind: {"schema": {}} for kind in (_GRAPHQL_KIND, "application/json")},
    },
    "400": {
        "description": "The query was refused before it ran, with errors in it; or no GraphQL request, with a Problem",
        "content": {_GRAPHQL_KIND: {"schema": {}}, "application/json": {"schema": _PROBLEM}},
    },
    **{str(status): _REFUSED[str(status)] for status in (405, 408, 413, 415, 503)},
    "401": _answer("UNAUTH: the bearer token is missing or not known", _PROBLEM),
    "404": _answer("NOT_FOUND: graphql.enabled is not set", _PROBLEM),
}


def _probe(name: str, text: str, schema: dict[str, Any], *, down: str = "") -> dict[str, Any]:
    answers = {"200": _answer(text, schema)} | ({"503": _answer(down, schema)} if down else {})
    return {"get": {"operationId": name, "summary": text, "tags": ["health"], "security": [], "responses": answers}}


BESIDE: dict[str, Any] = {
    "/webhooks/{provider}": {
        "post": {
            "operationId": "receiveWebhook",
            "summary": "Take in a webhook: verified over the bytes as they came, then durable before the answer",
            "tags": ["webhooks"],
            "security": [],
            "parameters": [
                {"name": "provider", "in": "path", "required": True, "schema": {"type": "string"}},
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
            "responses": {
                "202": _answer(
                    "Accepted, or accepted before: then duplicate is true and corr_id that of the first delivery",
                    {
                        "type": "object",
                        "required": ["accepted", "corr_id"],
                        "properties": {
                            "accepted": {"type": "boolean"},
                            "duplicate": {"type": "boolean"},
                            "corr_id": {"type": "string"},
                        },
                    },
                ),
                **_REFUSED,
            },
        }
    },
    "/graphql": {
        "get": {
            "operationId": "graphqlQuery",
            "summary": "A GraphQL query, where graphql.enabled is set; docs/reference/schema.graphql is the schema",
            "tags": ["graphql"],
            "parameters": [
                {"name": "query", "in": "query", "required": True, "schema": {"type": "string"}},
                {"name": "variables", "in": "query", "schema": {"type": "string"}},
                {"name": "operationName", "in": "query", "schema": {"type": "string"}},
            ],
            "responses": _GRAPHQL,
        },
        "post": {
            "operationId": "graphql",
            "summary": "GraphQL queries and mutations, or several in a list",
            "tags": ["graphql"],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"oneOf": [_OPERATION, _OPERATIONS]}}},
            },
            "responses": _GRAPHQL,
        },
    },
    "/v1/openapi.json": {
        "get": {
            "operationId": "describe",
            "summary": "This description",
            "tags": ["node"],
            "responses": {"200": _answer("OpenAPI 3.1"), "401": _answer("UNAUTH", _PROBLEM)},
        }
    },
    "/healthz": _probe("healthz", "The process is alive", {"type": "object"}),
    "/readyz": _probe("readyz", "It may be sent work", _STATE, down="Not now; missing says why"),
    "/startupz": _probe("startupz", "It has started", _STATE, down="Not yet"),
    "/version": _probe("version", "Which release answers", {"type": "object"}),
}
"""Routes of the service's own port that Litestar does not describe."""


def whole(schema: dict[str, Any]) -> bytes:
    """``schema`` with the routes beside it, as JSON; the same bytes at each call."""
    tags = [
        *schema.get("tags", []),
        {"name": "webhooks", "description": "What providers send"},
        {"name": "graphql", "description": "The read side as one graph"},
        {"name": "health", "description": "Probes"},
    ]
    told = {**schema, "paths": {**schema["paths"], **BESIDE}, "tags": tags}
    return msgspec.json.format(msgspec.json.encode(told, order="sorted"), indent=1) + b"\n"
