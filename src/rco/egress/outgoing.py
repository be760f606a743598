"""What goes out: URL, headers and body of one request, or why they cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from rco.kit.canonical import canonical_json
from rco.model.path import path_segments
from rco.model.target import CallRequest, Target

__all__ = ["Endpoint", "NotSendable", "body_of", "check_headers", "endpoint_of", "path_of"]

HEADER_COUNT = 64
HEADER_BYTES = 8 * 1024
QUERY_BYTES = 8 * 1024

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OURS = frozenset(
    {
        # Hop-by-hop (RFC 9110 section 7.6.1) and framing: they belong to the connection, not to the caller.
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "content-length", "expect", "host", "http2-settings"),
        # Set here, for every call.
        *("accept-encoding", "traceparent", "tracestate", "x-corr-id"),
    }
)


class NotSendable(ValueError):
    """The request cannot be sent as it is. ``reason`` is a word, the text says the cure and holds no value."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Endpoint(msgspec.Struct, frozen=True):
    """A target's ``base_url``, taken apart. ``origin`` says where connections go; ``path`` comes before the path of
    each request."""

    origin: str
    path: str
    port: int
    tls: bool


def endpoint_of(base_url: str) -> Endpoint:
    """Raises ``ValueError`` for what is no plain ``http(s)://host[:port][/path]``."""
    try:
        return _taken_apart(base_url)
    except ValueError as error:
        raise ValueError(f"base_url: {error}; write https://host[:port][/path]") from None


def _taken_apart(base_url: str) -> Endpoint:
    parts = urlsplit(base_url)
    if "@" in parts.netloc:
        # Not repeated: it may hold a password.
        raise ValueError("it holds user information; use the target's credential instead")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{base_url!r} has no http or https scheme or no host")
    if "?" in base_url or "#" in base_url:
        raise ValueError(f"{base_url!r} holds a query or fragment")
    if not parts.netloc.isascii():
        raise ValueError(f"{base_url!r} has a host outside ASCII; take its xn-- form")
    if parts.hostname.endswith(".") or any(char <= " " or char in "\\%\x7f" for char in parts.netloc):
        raise ValueError(f"{base_url!r} has a host that ends in a dot, has a zone or is malformed")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if parts.path not in ("", "/"):
        path_segments(parts.path)
    return Endpoint(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"), port, parts.scheme == "https")


def path_of(endpoint: Endpoint, request: CallRequest) -> str:
    """The whole path with its query, percent-encoded. The path has been checked by the rules. Raises
    ``NotSendable``."""
    if not request.query:
        return endpoint.path + request.path
    try:
        query = urlencode(request.query, quote_via=quote)
    except (TypeError, UnicodeEncodeError):
        raise NotSendable("query", "the query holds what is no text; give strings") from None
    if len(query) > QUERY_BYTES:
        raise NotSendable("query_too_long", f"the query takes {len(query)} bytes; {QUERY_BYTES} is the limit")
    return f"{endpoint.path}{request.path}?{query}"


def body_of(request: CallRequest, limit_bytes: int) -> bytes | None:
    """The JSON text of the body, the same bytes for every attempt; ``None`` when there is none (``json=None``).

    Raises ``NotSendable`` for what has no JSON form and what is larger than ``limit_bytes``.
    """
    if request.json is None:
        return None
    try:
        body = canonical_json(request.json)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotSendable("body", f"the body has no JSON form ({type(error).__name__}); give plain data") from None
    if len(body) > limit_bytes:
        raise NotSendable("body_too_large", f"the body takes {len(body)} bytes; {limit_bytes} is the limit")
    return body


def check_headers(headers: Mapping[str, str], target: Target) -> None:
    """Raises ``NotSendable`` when the caller sets what is not the caller's to set.

    Refused rather than dropped, so that the author meets it at the first try. ``Authorization`` (and whatever header
    the credential uses) is the caller's only where the target has no credential.
    """
    if len(headers) > HEADER_COUNT:
        raise NotSendable("headers", f"{len(headers)} headers; {HEADER_COUNT} is the limit")
    taken = set()
    if target.idempotency_header:
        taken.add(target.idempotency_header.lower())
    if target.probe is not None and target.probe.reference_header:
        taken.add(target.probe.reference_header.lower())
    if target.credential:
        taken |= {"authorization", target.credential.header.lower()}
    size = 0
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise NotSendable("headers", "a header's name or value holds characters a header cannot")
        lower = name.lower()
        if lower in _OURS or lower in taken:
            raise NotSendable("header_reserved", f"the header {name} is not the caller's to set; leave it out")
        size += len(name) + len(value)
    if size > HEADER_BYTES:
        raise NotSendable("headers", f"the headers take {size} bytes; {HEADER_BYTES} is the limit")
