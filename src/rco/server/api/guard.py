"""The door of the control API: a correlation id for everything, a bearer token before anything."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from rco.errors import RcoError, Reason, Refused
from rco.kit.digest import content_address
from rco.kit.ids import well_formed_corr_id
from rco.model.wire import Problem
from rco.operations.access import Access, Bearer
from rco.operations.desk import Desk
from rco.server.api.faults import Fault, fault_of
from rco.telemetry.signals import INTEROP_AUTH_FAILURES

__all__ = ["ASGI", "Guard"]

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
ASGI = Callable[[Any, Any, Any], Awaitable[None]]
_WITH_BODY = frozenset(("POST", "PUT", "PATCH", "DELETE"))
DROPPED_BYTES_MAX = 4 << 20
_KEPT = "!$&'()*+,;=:@"
"""What may stand unencoded in a segment (RFC 3986, pchar)."""


class Guard:
    """Wraps the API. Without a known token nothing behind it is reached, not even to learn which routes exist."""

    __slots__ = ("_access", "_app", "_body_limit_bytes", "_desk", "_read_timeout_s")

    def __init__(
        self,
        app: ASGI,
        desk: Callable[[], Desk],
        access: Access,
        *,
        body_limit_bytes: int,
        read_timeout_s: float,
    ) -> None:
        self._app, self._desk, self._access = app, desk, access
        self._body_limit_bytes, self._read_timeout_s = body_limit_bytes, read_timeout_s

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = _once(scope)
        raw = scope.get("raw_path")
        if raw and b"%" in raw:
            # An event's id may hold a slash. Decoded as a whole, the path would have one segment more.
            scope["path"] = "/".join(quote(unquote_to_bytes(part), safe=_KEPT) for part in raw.split(b"/"))
        corr_id = str(scope.get("corr_id") or "") or headers.get(b"x-corr-id", "")
        if not well_formed_corr_id(corr_id):
            corr_id = self._desk().ids.ulid()
        scope["corr_id"] = corr_id
        stamp = (b"x-corr-id", corr_id.encode())

        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), stamp]
            await send(message)

        try:
            scope["user"] = await self._access.principal(headers.get(b"authorization"), headers.get(b"x-rco-namespace"))
            spaces = self._desk().spaces
            if spaces is not None:
                spaces.known(scope["user"].namespace)
            body = await self._body(receive, headers) if scope["method"] in _WITH_BODY else None
            scope["body_b3"] = content_address(body) if body and isinstance(scope["user"], Bearer) else ""
        except RcoError as error:
            fault = fault_of(error)
            desk = self._desk()
            if fault.status == 401:
                desk.metrics.counter(INTEROP_AUTH_FAILURES).add()
            desk.log.warning(
                "api.refused", corr_id=corr_id, reason=fault.reason.word, detail=fault.detail, status=fault.status
            )
            await _refuse(stamped, fault, corr_id)
            return
        await self._app(scope, receive if body is None else _given(body, receive), stamped)

    async def _body(self, receive: Any, headers: dict[bytes, str]) -> bytes:
        """The whole body: JSON, within its size and time. What is over the size is read on for a while and dropped, as
        a sender that still writes would not see the answer."""
        kind = headers.get(b"content-type", "application/json").partition(";")[0].strip().lower()
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._read_timeout_s):
                more = True
                while more and size <= self._body_limit_bytes + DROPPED_BYTES_MAX:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Refused(Reason.MALFORMED, "body_cut", "body: was cut off.")
                    piece = message.get("body", b"")
                    size += len(piece)
                    if size <= self._body_limit_bytes:
                        pieces.append(piece)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(Reason.TIMEOUT, "body_slow", "The body took too long.") from None
        if size > self._body_limit_bytes:
            raise Refused(Reason.BODY_LIMIT, "body_limit", f"The body is over {self._body_limit_bytes} bytes.")
        body = b"".join(pieces)
        if body and kind != "application/json":
            raise Refused(Reason.MEDIA_TYPE, "media_type", "Send application/json.")
        if body:
            _check_json(body)
        return body


def _check_json(body: bytes) -> None:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        body.decode()
    except UnicodeDecodeError:
        raise Refused(Reason.MALFORMED, "not_utf8", "body: not UTF-8.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(Reason.MALFORMED, "not_json", f"body: not JSON: {error}.") from None


def _given(body: bytes, receive: Any) -> Callable[[], Awaitable[Any]]:
    """A ``receive`` that gives ``body`` first, then goes on listening for the end of the connection."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Any:
        return left.pop() if left else await receive()

    return given


def _once(scope: Scope) -> dict[bytes, str]:
    """Headers by name. One that comes twice counts as absent: which of the two is meant cannot be known."""
    found: dict[bytes, str] = {}
    twice: set[bytes] = set()
    for name, value in scope["headers"]:
        if name in found:
            twice.add(name)
        found[name] = value.decode("latin-1")
    for name in twice:
        del found[name]
    return found


async def _refuse(send: Send, fault: Fault, corr_id: str) -> None:
    body = msgspec.json.encode(Problem(error=fault.message, reason=fault.reason.word, corr_id=corr_id))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if fault.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="rco"'))
    if fault.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(fault.retry_after_s))).encode()))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
