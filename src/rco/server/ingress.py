"""``POST /webhooks/{provider}``: from the first byte to the durable 202.

The order is: caller, route, token buckets, head, body counted while it streams under a deadline, signature over the
exact bytes, time, decompression under caps, strict decoding, and only then the store. Before the signature holds
nothing is parsed and no shared state is touched, so what an unknown sender can cost is bounded by the bytes that it
sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from rco.bridge.admission import Route, Turnstile
from rco.bridge.brownout import RETRY_AFTER_S, BrownoutSettings, Sentinel
from rco.bridge.contract import Answered, Errand, Handshake, Reply
from rco.bridge.decompression import DecompressionLimits, Expand, coding_of, expander
from rco.errors import Reason, Refused
from rco.kit.clock import MICROS, Clock
from rco.kit.ids import Ids
from rco.kit.latency import latency_bucket
from rco.model.decision import Decision
from rco.model.delivery import Delivery, Receipt
from rco.server.beyond import settle
from rco.server.caller import CallerOf
from rco.server.deadlines import Deadlines
from rco.server.envelope import refusal_of, send_json, send_plain, send_refusal
from rco.server.framing import UNKNOWN_LENGTH, Head, Receive, Scope, Send, read_head
from rco.server.ingress_tally import ROUTE, Tally
from rco.server.large_bodies import HELD_BYTES, LargeBodies, Upload
from rco.server.pieces import Begun
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Metrics
from rco.telemetry.signals import (
    INTEROP_INFLIGHT,
    INTEROP_LATENCY,
)

__all__ = ["PREFIX", "Ingress"]

PREFIX = "/webhooks/"
READ_TIMEOUT_S = 5.0
HANDLER_TIMEOUT_S = 5.0
# A delivery was made for this request a moment ago and nobody else has it yet; a copy would cost five times as much.
_stamp = msgspec.structs.force_setattr


class _Streamed(Refused):
    """More came than may be held, of a body whose length was not announced; ``begun`` is what came."""

    def __init__(self, data: bytes, *, whole: bool) -> None:
        super().__init__(Reason.BODY_LIMIT, "body_streamed")
        self.begun = Begun(data, whole)


def _larger(refused: Refused, route: Route, body: bytes) -> Begun | None:
    """What was read of a body that is too large to be held, where its provider may send such; else ``None``."""
    if not route.large:
        return None
    if isinstance(refused, _Streamed):
        return refused.begun
    # Its signature holds, and it fits the limit as it came, but not as what it decodes to.
    return Begun(body, True) if refused.reason is Reason.DECOMP_LIMIT and refused.detail == "decoded_size" else None


class Ingress:
    """The handler. One of them serves all providers, in one loop.

    ``receive`` makes a delivery durable and says whether it was a repeat; ``note`` takes the decision of every
    refusal. Secrets, signatures and bodies go nowhere but through ``verify`` and ``receive``.
    """

    __slots__ = (
        "_accept",
        "_caller_of",
        "_clock",
        "_draining",
        "_handling",
        "_ids",
        "_large",
        "_latency",
        "_max_ratio",
        "_note",
        "_reading",
        "_sentinel",
        "_tally",
        "_turnstile",
    )

    def __init__(
        self,
        *,
        turnstile: Turnstile,
        receive: Callable[[Delivery], Awaitable[Receipt]],
        note: Callable[[Decision], None],
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        log: Log,
        read_timeout_s: float = READ_TIMEOUT_S,
        handler_timeout_s: float = HANDLER_TIMEOUT_S,
        decompression: DecompressionLimits | None = None,
        caller_of: CallerOf | None = None,
        sentinel: Sentinel | None = None,
        large: LargeBodies | None = None,
    ) -> None:
        self._turnstile, self._accept, self._note = turnstile, receive, note
        self._clock, self._ids = clock, ids
        self._tally = Tally(note, clock, metrics, log)
        self._reading, self._handling = Deadlines(read_timeout_s), Deadlines(handler_timeout_s)
        self._max_ratio = (decompression or DecompressionLimits()).max_ratio
        self._caller_of = caller_of or CallerOf()
        self._sentinel = sentinel or Sentinel(BrownoutSettings(), clock.monotonic())
        self._large = large
        self._draining = False
        self._latency = metrics.histogram(INTEROP_LATENCY, route=ROUTE, method="POST")
        metrics.gauge(INTEROP_INFLIGHT, route=ROUTE).watch(lambda: turnstile.inflight)

    def drain(self) -> None:
        """From now on answer 503 to what is new; what is inside goes on. A second call changes nothing."""
        self._draining = True

    @property
    def draining(self) -> bool:
        return self._draining

    def admit(self) -> None:
        """Pass while other routes take writes. Raises ``Refused(BACKPRESSURE)`` (``draining``, ``brownout``)."""
        self._check_open()
        if self._sentinel.active:
            self._check_probe(self._clock.monotonic())

    def _check_open(self) -> None:
        if self._draining:
            raise Refused(Reason.BACKPRESSURE, "draining", status=503, retry_after_s=1.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Serve one request whose path begins with ``/webhooks/``; returns the status that was sent. Raises only what
        ``send`` raises and cancellation."""
        began = self._clock.monotonic()
        head = read_head(scope["headers"])
        corr_id = head.corr_id or self._ids.ulid()
        method: str = scope["method"]
        route: Route | None = None
        body = b""
        held = _Held()
        status = 202
        excused = False
        try:
            if method != "POST":
                raise Refused(Reason.METHOD, "method")
            self._check_open()
            if self._turnstile.callers is not None:
                self._turnstile.greet(self._caller_of(scope))
            route = self._turnstile.enter(scope["path"][len(PREFIX) :])
            try:
                if self._sentinel.active and not route.exempt:
                    self._check_probe(began)
                _check_head(head, route)
                expand = None if head.content_encoding is None else self._expand(head.content_encoding, route)
                found: Delivery | Answered | Handshake | Errand | Upload
                if route.large and head.length > route.settings.body_limit_bytes:
                    found = await self._pass_large(receive, head, scope["headers"], route, corr_id, held)
                else:
                    begun = None
                    try:
                        body = await self._read(receive, head, route.settings.body_limit_bytes, held)
                        found = self._verify(route, scope["headers"], body, corr_id, expand)
                    except Refused as too_large:
                        begun = _larger(too_large, route, body)
                        if begun is None:
                            raise
                    if begun is not None:
                        body = b""
                        found = await self._pass_large(receive, head, scope["headers"], route, corr_id, held, begun)
                receipt, reply = await self._handle(found, route, scope["headers"], body, corr_id, expand, began)
            finally:
                self._turnstile.leave(held.size_bytes)
            if reply is not None:
                status = reply.status
                await send_plain(send, status, reply.body, reply.content_type, corr_id)
            elif receipt.duplicate:
                answer = b'{"accepted":true,"duplicate":true,"corr_id":"' + receipt.corr_id.encode() + b'"}'
                await send_json(send, status, answer, corr_id)
            else:
                answer = b'{"accepted":true,"corr_id":"' + corr_id.encode() + b'"}'
                await send_json(send, status, answer, corr_id)
        except Exception as error:  # noqa: BLE001  (whatever went wrong, the sender gets one of the known answers)
            refused = refusal_of(error)
            status = refused.status
            excused = refused.reason is Reason.BACKPRESSURE
            try:
                self._tally.refused(refused, route, corr_id, method, body, error, began)
                await send_refusal(
                    send,
                    refused,
                    corr_id,
                    allow=b"POST" if refused.reason is Reason.METHOD else b"",
                    close=head.fault is not None or refused.detail in ("body_cut", "body_length"),
                )
            finally:
                # It knows this frame, and so the body. The two would stay until the collector looks, which is seldom.
                del refused
        self._tally.answered(method, status)
        ended = self._clock.monotonic()
        self._latency.observe(ended - began)
        # What senders did wrong says nothing of how we are, and our own brownout would keep itself alive.
        if status < 400:
            self._sentinel.answered(ended, False)
        elif status >= 500 and not excused:
            self._sentinel.answered(ended, True)
        return status

    def _check_probe(self, now_s: float) -> None:
        """Raises ``Refused`` (``BACKPRESSURE``, ``brownout``), except for the one in a while that shows how it is."""
        if not self._sentinel.lets_through(now_s):
            raise Refused(Reason.BACKPRESSURE, "brownout", status=503, retry_after_s=RETRY_AFTER_S)

    async def _handle(
        self,
        found: Delivery | Answered | Handshake | Errand | Upload,
        route: Route,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        corr_id: str,
        expand: Expand | None,
        came: float,
    ) -> tuple[Receipt, Reply | None]:
        """Make it durable, and whatever else it asks for, within the handler's time. What takes longer is refused; if
        it is durable all the same, the sender's next attempt is told so."""
        task = self._handling.begin()
        began = self._clock.monotonic()
        try:
            if type(found) is Delivery:
                _stamp(found, "latency", latency_bucket(began - came))
                return await self._accept(found), None
            return await self._beyond(found, route, headers, body, corr_id, expand)
        except asyncio.CancelledError:
            if self._handling.passed(task):
                raise Refused(Reason.DOWNSTREAM_UNAVAILABLE, "handler_slow", retry_after_s=1.0) from None
            raise
        finally:
            self._handling.end(task)
            ended = self._clock.monotonic()
            self._sentinel.asked(ended, ended - began)

    def _expand(self, encoding: bytes, route: Route) -> Expand | None:
        coding = coding_of(encoding)
        if coding is None:
            return None
        return expander(coding, limit_bytes=route.settings.body_limit_bytes, max_ratio=self._max_ratio)

    def _verify(
        self,
        route: Route,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        corr_id: str,
        expand: Expand | None,
    ) -> Delivery | Answered | Handshake | Errand:
        verifier = route.verifier
        if verifier is None:
            raise Refused(Reason.POLICY_BLOCKED, "provider_off")
        try:
            found = verifier.verify(headers, body, self._clock.now_us(), corr_id, expand)
        except Refused as refused:
            self._tally.verified(route.name, refused.detail)
            raise
        if type(found) is Delivery:
            self._tally.matched(route.name, found.secret_id)
        return found

    async def _pass_large(
        self,
        receive: Receive,
        head: Head,
        headers: list[tuple[bytes, bytes]],
        route: Route,
        corr_id: str,
        held: _Held,
        begun: Begun | None = None,
    ) -> Upload:
        """A body that is not held: see ``rco.server.large_bodies``. ``begun``: what of it was read before it was known
        to be one."""
        if self._large is None:
            raise Refused(Reason.BODY_LIMIT, "body_announced")
        self._turnstile.hold(HELD_BYTES)
        held.size_bytes += HELD_BYTES
        try:
            upload = await self._large.receive(receive, head, headers, route, corr_id, begun)
        except Refused as refused:
            self._tally.verified(route.name, refused.detail)
            raise
        self._tally.matched(route.name, upload.delivery.secret_id)
        return upload

    async def _beyond(
        self,
        found: Delivery | Answered | Handshake | Errand | Upload,
        route: Route,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        corr_id: str,
        expand: Expand | None,
    ) -> tuple[Receipt, Reply | None]:
        """What a request asks for besides being accepted: see ``rco.server.beyond``."""
        if isinstance(found, Upload):
            took_s = (self._clock.now_us() - found.delivery.event.received_us) / MICROS
            _stamp(found.delivery, "latency", latency_bucket(took_s))
            return await found.accept(self._accept), None
        if isinstance(found, Errand):
            self._tally.verified(route.name, "errand")
            await found.run()
            found = self._verify(route, headers, body, corr_id, expand)
        if isinstance(found, Answered):
            self._tally.matched(route.name, found.delivery.secret_id)
            took_s = (self._clock.now_us() - found.delivery.event.received_us) / MICROS
            _stamp(found.delivery, "latency", latency_bucket(took_s))
        elif isinstance(found, Handshake):
            self._tally.verified(route.name, "handshake")
        return await settle(
            found,
            accept=self._accept,
            note=self._note,
            provider=route.name,
            corr_id=corr_id,
            now_us=self._clock.now_us(),
        )

    async def _read(self, receive: Receive, head: Head, limit_bytes: int, held: _Held) -> bytes:
        """The body, exactly as it came. Raises ``Refused``: ``BODY_LIMIT``, ``TIMEOUT``, ``BACKPRESSURE``, and
        ``MALFORMED`` when the sender goes away (``body_cut``) or sends another length than it announced."""
        length = head.length
        if length > limit_bytes:
            raise Refused(Reason.BODY_LIMIT, "body_announced")
        if length == 0:
            return b""
        chunks: list[bytes] = []
        size_bytes = 0
        task = self._reading.begin()
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused(Reason.MALFORMED, "body_cut")
                chunk: bytes = message.get("body", b"")
                if chunk:
                    size_bytes += len(chunk)
                    if size_bytes > limit_bytes:
                        chunks.append(chunk)
                        raise _Streamed(b"".join(chunks), whole=not message.get("more_body", False))
                    self._turnstile.hold(len(chunk))
                    held.size_bytes = size_bytes
                    # The usual case, in one piece: what was announced is here, there is nothing to wait for.
                    if size_bytes == length and not chunks:
                        return chunk
                    chunks.append(chunk)
                if size_bytes == length or not message.get("more_body", False):
                    break
        except asyncio.CancelledError:
            if self._reading.passed(task):
                raise Refused(Reason.TIMEOUT, "body_slow") from None
            raise
        finally:
            self._reading.end(task)
        if length not in (UNKNOWN_LENGTH, size_bytes):
            raise Refused(Reason.MALFORMED, "body_length")
        return b"".join(chunks)


class _Held:
    """How much of a body is accounted for, also when reading ends with an error."""

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        self.size_bytes = 0


def _check_head(head: Head, route: Route) -> None:
    if head.fault is not None:
        raise head.fault
    media = head.content_type
    if media is None:
        raise Refused(Reason.MEDIA_TYPE, "content_type")
    if media not in route.content_types:
        essence, _, parameter = media.partition(b";")
        if essence.strip().lower() not in route.content_types or parameter.strip().lower().replace(b'"', b"") not in (
            b"",
            b"charset=utf-8",
        ):
            raise Refused(Reason.MEDIA_TYPE, "content_type")
