"""``POST /put`` and ``GET /o/{address}``: content in, its address out, and back.

What comes in is written as it arrives, what goes out is sent as it is read; at most two pieces of one body are in
memory. Nothing that was put is ever served as something that runs: types outside a short list become
``application/octet-stream``, everything is an attachment, and a browser is told to trust none of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable

import msgspec

from rco.bridge.brownout import Sentinel
from rco.errors import (
    EvidenceBroken,
    Forbidden,
    NotFound,
    Overloaded,
    PayloadErased,
    PayloadLocked,
    RcoError,
    Reason,
    Refused,
    StoreError,
)
from rco.kit.clock import Clock
from rco.model.decision import Decision, Verb
from rco.objects.content import Content, ContentStore, Filling, Meta, well_formed_address
from rco.objects.options import ContentOptions
from rco.operations.access import Access
from rco.operations.content import PUT_ORIGIN, PutRight, may_put, record_put
from rco.operations.desk import Desk
from rco.server.byte_range import Unsatisfiable, asked_range, matches
from rco.server.deadlines import Deadlines
from rco.server.envelope import CORR_ID, refusal_of, send_json, send_refusal
from rco.server.framing import Head, Receive, Scope, Send
from rco.server.pieces import cut, pieces
from rco.telemetry import signals
from rco.telemetry.metrics import Counter, Metrics

__all__ = ["ContentApp"]

PUT, GET = "/put", "/o/"
_ROUTES = {PUT: PUT, GET: "/o/{address}"}
_JSON, _BYTES = b"application/json", b"application/octet-stream"
_SAFE = frozenset(
    ("application/json", "application/octet-stream", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain")
)
_ENCODINGS = frozenset(("", "identity", "utf-8", "base64", "gzip", "deflate", "br", "zstd"))
_TEXT = frozenset(("", "identity", "utf-8"))
_WORD_MAX = 128
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'"),
    (b"content-disposition", b"attachment"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"accept-ranges", b"bytes"),
    # The bytes of an address never change; what leads to them may be taken away, so no shared cache keeps them.
    (b"cache-control", b"private, max-age=31536000, immutable, no-transform"),
)


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    type: str = ""
    content_encoding: str = ""
    provider: str = ""


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    payload: str
    meta: _Said = msgspec.field(default_factory=_Said)


class ContentApp:
    """Both routes. ``admit`` is asked before anything is read of a put and raises ``Refused`` where nothing is taken:
    while the service drains, or browns out. ``sentinel`` hears how puts went, as it does of webhooks: reads go on in a
    brownout, and say nothing of whether writes work."""

    def __init__(
        self,
        store: ContentStore,
        desk: Callable[[], Desk],
        access: Access,
        clock: Clock,
        *,
        options: ContentOptions,
        json_limit_bytes: int,
        read_timeout_s: float,
        admit: Callable[[], None],
        sentinel: Sentinel,
    ) -> None:
        self._store, self._desk, self._access, self._clock = store, desk, access, clock
        self._options, self._json_limit_bytes = options, json_limit_bytes
        self._reading, self._admit, self._sentinel = Deadlines(read_timeout_s), admit, sentinel
        self._inflight = 0
        self._cells: dict[tuple[str, str], _Cells] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises only what ``send`` raises, cancellation, and, where content turns out broken after
        its head was sent, ``EvidenceBroken``: the connection ends in the middle then."""
        began = self._clock.monotonic()
        path, method, corr_id = str(scope["path"]), str(scope["method"]), str(scope["corr_id"])
        route = PUT if path == PUT else GET if path.startswith(GET) else ""
        desk = self._desk()
        answer = _Answer(send)
        excused = False
        cells = self._cells_of(desk.metrics, route, method) if route else None
        if cells is not None:
            cells.inflight.add(1)
        try:
            if route == PUT:
                await self._put(desk, scope, receive, answer, method, corr_id)
            elif route == GET:
                await self._get(desk, scope, answer, method, path[len(GET) :], corr_id)
            else:
                raise Refused(Reason.NOT_FOUND, "path")
        except Exception as error:  # noqa: BLE001  (whatever went wrong, the caller gets one of the known answers)
            refused = _refusal(error)
            try:
                excused = refused.reason is Reason.BACKPRESSURE
                self._tell(desk, refused, route, corr_id, error)
                if answer.begun:
                    raise
                allow = b"" if refused.reason is not Reason.METHOD else b"POST" if route == PUT else b"GET, HEAD"
                await send_refusal(answer, refused, corr_id, allow=allow, close=route == PUT)
            finally:
                # It knows this frame: the two would stay until the collector looks, which is seldom.
                del refused
        finally:
            if cells is not None:
                cells.inflight.add(-1)
                cells.answered(answer.status).add()
                ended = self._clock.monotonic()
                cells.latency.observe(ended - began)
                # As with webhooks: not what senders did wrong, and not our own brownout.
                if route == PUT and answer.begun and not excused and not 400 <= answer.status < 500:
                    self._sentinel.answered(ended, answer.status >= 500)

    def _cells_of(self, metrics: Metrics, route: str, method: str) -> _Cells:
        known = method if method in ("GET", "HEAD", "POST") else "other"
        cells = self._cells.get((route, known))
        if cells is None:
            cells = self._cells[route, known] = _Cells(metrics, _ROUTES[route], known)
        return cells

    # -- in --------------------------------------------------------------------------------------------------------

    async def _put(self, desk: Desk, scope: Scope, receive: Receive, send: Send, method: str, corr_id: str) -> None:
        if method != "POST":
            raise Refused(Reason.METHOD, "method")
        self._admit()
        if self._inflight >= self._options.inflight:
            raise Refused(Reason.BACKPRESSURE, "put_inflight", retry_after_s=1.0)
        self._inflight += 1
        try:
            head: Head = scope["head"]
            right = may_put(desk, _one(scope, b"authorization"), corr_id)
            kind = (head.content_type or b"").partition(b";")[0].strip().lower()
            if head.content_encoding not in (None, b"identity"):
                raise Refused(Reason.MEDIA_TYPE, "content_encoding")
            if kind == _JSON:
                meta, body = await self._json(receive, head)
            elif kind == _BYTES:
                meta = Meta(type="application/octet-stream", put_us=self._clock.now_us())
                body = self._pieces(receive, head, self._options.object_limit_bytes)
            else:
                raise Refused(Reason.MEDIA_TYPE, "content_type")
            address = await self._keep(desk, right, meta, body, corr_id, _one(scope, b"traceparent") or "")
        finally:
            self._inflight -= 1
        await send_json(send, 202, b'{"address":"%b","corr_id":"%b"}' % (address.encode(), corr_id.encode()), corr_id)

    async def _keep(
        self, desk: Desk, right: PutRight, meta: Meta, body: AsyncIterator[bytes], corr_id: str, trace: str
    ) -> str:
        filling: Filling = self._store.begin(meta, right.namespace)
        try:
            async for piece in body:
                await filling.write(piece)
            right.check(filling.address)
            stored = await filling.finish(self._store.staging)
        except BaseException:
            await filling.abort()
            raise
        # The content is durable before anything says that it is, or with it.
        began = self._clock.monotonic()
        await record_put(desk, right, stored, meta, corr_id, trace, self._store.staging)
        # How long the bytes take is a matter of how many there are; this is not.
        ended = self._clock.monotonic()
        self._sentinel.asked(ended, ended - began)
        desk.metrics.counter(signals.INTEROP_CONTENT_BYTES, direction="in").add(stored.size_bytes)
        return stored.address

    async def _json(self, receive: Receive, head: Head) -> tuple[Meta, AsyncIterator[bytes]]:
        body = b"".join([piece async for piece in self._pieces(receive, head, self._json_limit_bytes)])
        try:
            asked = msgspec.json.decode(body, type=_Asked)
            meta = asked.meta
            if meta.content_encoding not in _ENCODINGS:
                raise ValueError
            text = meta.content_encoding in _TEXT
            data = asked.payload.encode() if text else base64.b64decode(asked.payload, validate=True)
        except (ValueError, RecursionError, binascii.Error):
            raise Refused(Reason.MALFORMED, "put_json") from None
        for word in (meta.type, meta.provider):
            if len(word) > _WORD_MAX or not word.isascii() or not word.isprintable():
                raise Refused(Reason.MALFORMED, "put_meta")
        encoding = "" if text or meta.content_encoding == "base64" else meta.content_encoding
        said = Meta(
            type=meta.type.lower(), content_encoding=encoding, provider=meta.provider, put_us=self._clock.now_us()
        )
        return said, _cut(data)

    def _pieces(self, receive: Receive, head: Head, limit_bytes: int) -> AsyncIterator[bytes]:
        return pieces(
            receive,
            head,
            limit_bytes,
            clock=self._clock,
            deadlines=self._reading,
            whole_timeout_s=self._options.put_timeout_s,
        )

    # -- out -------------------------------------------------------------------------------------------------------

    async def _get(self, desk: Desk, scope: Scope, send: Send, method: str, address: str, corr_id: str) -> None:
        if method not in ("GET", "HEAD"):
            raise Refused(Reason.METHOD, "method")
        if not well_formed_address(address):
            raise Refused(Reason.MALFORMED, "address")
        if self._options.readers == "principals":
            await self._access.principal(_one(scope, b"authorization"))
        content = await self._store.open(address)
        if content is None:
            raise Refused(Reason.NOT_FOUND, "content")
        try:
            await self._answer(desk, scope, send, method == "HEAD", content, corr_id)
        finally:
            await content.close()

    async def _answer(
        self, desk: Desk, scope: Scope, send: Send, head_only: bool, content: Content, corr_id: str
    ) -> None:
        size_bytes, tag = content.size_bytes, f'"{content.address}"'
        headers = [(CORR_ID, corr_id.encode()), (b"etag", tag.encode()), *_ALWAYS]
        if matches(_one(scope, b"if-none-match"), tag):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        # With another validator than ours the whole of it is wanted (RFC 9110, section 13.1.5).
        ranged = _one(scope, b"range") if _one(scope, b"if-range") in (None, tag) else None
        try:
            found = asked_range(ranged, size_bytes)
        except Unsatisfiable:
            unmet = (b"content-range", b"bytes */%d" % size_bytes)
            await send({"type": "http.response.start", "status": 416, "headers": [*headers, unmet]})
            await send({"type": "http.response.body", "body": b""})
            return
        first, last = found or (0, size_bytes - 1)
        kind = content.meta.type if content.meta.type in _SAFE else "application/octet-stream"
        headers += [
            (b"content-type", (f"{kind}; charset=utf-8" if kind == "text/plain" else kind).encode()),
            (b"content-length", b"%d" % (last - first + 1)),
        ]
        if content.meta.content_encoding:
            # Not as Content-Encoding: the bytes of the address are what is sent, and nobody is to expand them unasked.
            headers.append((b"x-content-stored-encoding", content.meta.content_encoding.encode()))
        if found is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (first, last, size_bytes)))
        start: dict[str, object] = {"type": "http.response.start", "status": 206 if found else 200, "headers": headers}
        if head_only:
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        data = content.at_hand()
        if data is not None:
            # Head and body go as one: two small segments would wait for each other's acknowledgement.
            await send(start)
            await send({"type": "http.response.body", "body": data[first : last + 1]})
        else:
            await _stream(send, start, content, first, last)
        desk.metrics.counter(signals.INTEROP_CONTENT_BYTES, direction="out").add(last - first + 1)

    # -- evidence --------------------------------------------------------------------------------------------------

    def _tell(self, desk: Desk, refused: Refused, route: str, corr_id: str, error: Exception) -> None:
        metrics = desk.metrics
        metrics.counter(signals.INTEROP_REJECTED, reason=refused.reason.word).add()
        if refused.reason is Reason.UNAUTH:
            metrics.counter(signals.INTEROP_AUTH_FAILURES).add()
        elif refused.reason is Reason.BACKPRESSURE:
            metrics.counter(signals.INTEROP_BUSY, endpoint=_ROUTES[route]).add()
        broken = isinstance(error, EvidenceBroken)
        if broken:
            metrics.counter(signals.OBJECTS_BROKEN).add()
        if route == PUT or broken:
            # That an address leads nowhere is no decision of ours; that content is broken, and every no to a put, is.
            desk.note(
                Decision(
                    verb=Verb.REFUSE,
                    at_us=self._clock.now_us(),
                    allow=False,
                    subject=PUT_ORIGIN if route == PUT else "content",
                    corr_id=corr_id,
                    reason=refused.detail,
                    facts={"reason": refused.reason.word, "status": refused.status},
                )
            )
        write = desk.log.error if refused.reason is Reason.INTERNAL else desk.log.warning
        fields = {"error": error} if refused.reason in (Reason.INTERNAL, Reason.DOWNSTREAM_UNAVAILABLE) else {}
        write(
            "content.refused",
            route=_ROUTES.get(route, ""),
            status=refused.status,
            reason=refused.reason.word,
            detail=refused.detail,
            corr_id=corr_id,
            **fields,
        )


class _Cells:
    """The numbers of one route and method, found once."""

    __slots__ = ("_answered", "_labels", "_metrics", "inflight", "latency")

    def __init__(self, metrics: Metrics, route: str, method: str) -> None:
        self._metrics, self._labels = metrics, {"route": route, "method": method}
        self._answered: dict[int, Counter] = {}
        self.inflight = metrics.gauge(signals.INTEROP_INFLIGHT, route=route)
        self.latency = metrics.histogram(signals.INTEROP_LATENCY, **self._labels)

    def answered(self, status: int) -> Counter:
        """That of the requests which got this answer."""
        cell = self._answered.get(status)
        if cell is None:
            cell = self._metrics.counter(signals.INTEROP_REQUESTS, **self._labels, status=str(status))
            self._answered[status] = cell
        return cell


class _Answer:
    """A ``send`` that knows whether the answer has begun, and with which status."""

    __slots__ = ("_send", "begun", "status")

    def __init__(self, send: Send) -> None:
        self._send, self.begun, self.status = send, False, 500

    async def __call__(self, message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, int(str(message["status"]))
        await self._send(message)


async def _stream(send: Send, start: dict[str, object], content: Content, first: int, last: int) -> None:
    left = last + 1 - first
    begun = False
    async for piece in content.stream(first, last):
        if not begun:
            # Not before the first piece is here: where all that is asked for is in it, it was checked.
            begun = True
            await send(start)
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
    if not begun:
        await send(start)
        await send({"type": "http.response.body", "body": b""})


async def _cut(data: bytes) -> AsyncIterator[bytes]:
    for piece in cut(data):
        yield piece


def _one(scope: Scope, name: bytes) -> str | None:
    """A header's value. One that comes twice counts as absent: which of the two is meant cannot be known."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _refusal(error: Exception) -> Refused:
    match error:
        case PayloadErased():
            return Refused(Reason.ERASED, error.code)
        case PayloadLocked():
            return Refused(Reason.DOWNSTREAM_UNAVAILABLE, error.code, retry_after_s=1.0)
        case Forbidden():
            return Refused(Reason.POLICY_BLOCKED, "namespace_key")
        case NotFound():
            return Refused(Reason.NOT_FOUND, error.code)
        case EvidenceBroken():
            return Refused(Reason.INTERNAL, "content_broken")
        case RcoError() if not isinstance(error, Refused | Overloaded | StoreError):
            return Refused(Reason.INTERNAL, error.code)
        case _:
            return refusal_of(error)
