"""What a handler takes out of its request: who asks, the desk, identities and the declared errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from litestar import Request
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec

from rco.errors import Reason, Refused
from rco.kit.ids import id_bytes
from rco.model.attribute import Attribute, AttributeFilter, attribute, attribute_filter
from rco.model.principal import Principal
from rco.model.wire import Problem
from rco.operations.desk import Desk
from rco.telemetry.trace import plain_traceparent

__all__ = ["ERRORS", "Ask", "Asked", "asked", "identity", "segment"]

Ask = Request[Principal, Any, State]

ERRORS = {
    status: ResponseSpec(Problem, description=text, generate_examples=False)
    for status, text in (
        (400, "MALFORMED: the request does not fit; the message names the field"),
        (401, "UNAUTH: the bearer token is missing or not known"),
        (403, "SCOPE_MISMATCH: the role is too small"),
        (404, "NOT_FOUND"),
        (409, "CONFLICT: what is recorded says otherwise"),
        (413, "BODY_LIMIT"),
        (415, "MEDIA_TYPE: send application/json"),
        (429, "BACKPRESSURE: a bounded queue is full; try again after Retry-After"),
        (500, "INTERNAL"),
        (503, "DOWNSTREAM_UNAVAILABLE: the store is away"),
    )
}


class Asked(NamedTuple):
    """Desk, principal, correlation id and the caller's ``traceparent``, if any, of one request."""

    desk: Desk
    principal: Principal
    corr_id: str
    trace: str


def asked(request: Ask) -> Asked:
    """What every handler needs of ``request``."""
    desk: Desk = request.app.state["desk"]()
    trace = plain_traceparent(request.headers.get("traceparent"))
    return Asked(desk, request.user, str(request.scope.get("corr_id", "")), trace)


def identity(text: str, field: str) -> bytes:
    """The 16 bytes of an identity. Raises ``Refused(MALFORMED)`` that names ``field``."""
    try:
        return id_bytes(text)
    except ValueError:
        raise Refused(Reason.MALFORMED, "bad_identity", f"{field}: not the text of a UUID.") from None


def declared(given: Mapping[str, Any]) -> tuple[Attribute, ...]:
    """Attributes that a start declares. Raises ``Refused(MALFORMED)``."""
    try:
        return tuple(attribute(name, value) for name, value in given.items() if value is not None)
    except ValueError as problem:
        raise Refused(Reason.MALFORMED, "bad_attribute", f"attributes: {problem}.") from None


def filters(given: Sequence[str], field: str) -> tuple[AttributeFilter, ...]:
    """What is asked of attributes. Raises ``Refused(MALFORMED)`` that names ``field``."""
    try:
        return tuple(attribute_filter(text) for text in given)
    except ValueError as problem:
        raise Refused(Reason.MALFORMED, "bad_attribute", f"{field}: {problem}.") from None


def segment(text: str) -> str:
    """A path segment that is any text: what ``Guard`` left encoded, so that a slash in it is no border."""
    return unquote(text)
