"""Sending: one request over the HTTP client. The first call loads it: it takes as long as a third of a start."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from aiohttp.connector import Connection
from yarl import URL

from rco.egress.broken import broken
from rco.egress.incoming import Unusable, plain_body, read_capped, shortened
from rco.egress.lane import Lane
from rco.egress.plan import Plan
from rco.egress.socket_guard import JOURNEY, Journey
from rco.egress.verdict import Verdict, answered, refused, unusable
from rco.kit.clock import Clock
from rco.kit.digest import content_address

__all__ = ["ConnectionLost", "NotOursToSend", "Sending"]

_DNS_CACHE_S = 10
_HEADER_LINE_BYTES = 8190
_HEADER_COUNT = 100
_NO_TIMEOUT = ClientTimeout(total=None, sock_connect=None)


class ConnectionLost(ClientConnectionError):
    """The connection ended before the answer did."""


class NotOursToSend(ClientError):
    """The hold on what the request is for has run out while a connection was waited for."""


class _Request(ClientRequest):
    """Marks the moment from which the other side may have seen something, and asks once more just before it.

    With a body, head and body leave together in a task of their own, which may be a turn of the loop later.
    """

    async def send(self, conn: Connection) -> ClientResponse:
        if not self.body:
            _leaves()
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        if self.body:
            try:
                _leaves()
            except NotOursToSend as error:
                if conn.protocol is not None:
                    # Whoever waits for the answer is told; the connection is closed with it.
                    conn.protocol.set_exception(error)
                return
        await super().write_bytes(writer, conn, content_length)


def _leaves() -> None:
    journey = JOURNEY.get()
    if not journey.may_send():
        raise NotOursToSend
    journey.sent = True


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """One attempt is one attempt: aiohttp itself repeats idempotent methods, PUT and DELETE among them, when a reused
    connection turns out dead. It does so for these errors, so they leave here under another name."""
    try:
        return await handler(request)
    except (ClientConnectorError, ConnectionTimeoutError):
        raise
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ConnectionLost(type(error).__name__) from None


class Sending:
    """Belongs to one event loop. A lane's session is opened by its first call; the lane closes it."""

    def __init__(self, resolver: AbstractResolver | None, tls: ssl.SSLContext | None, clock: Clock) -> None:
        """``resolver`` answers names (``None``: the system's), and is closed by who gave it."""
        self._own = ThreadedResolver() if resolver is None else None
        self._resolver = resolver or self._own
        self._tls, self._clock = tls, clock

    async def close(self) -> None:
        if self._own is not None:
            await self._own.close()

    def _session(self, lane: Lane) -> ClientSession:
        if lane.session is None:
            lane.session = ClientSession(
                connector=TCPConnector(
                    resolver=self._resolver,
                    socket_factory=lane.guard,
                    limit=lane.target.concurrency,
                    ttl_dns_cache=_DNS_CACHE_S,
                    ssl=self._tls or True,
                ),
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                request_class=_Request,
                middlewares=(_once,),
                timeout=_NO_TIMEOUT,
                max_line_size=_HEADER_LINE_BYTES,
                max_field_size=_HEADER_LINE_BYTES,
                max_headers=_HEADER_COUNT,
            )
        return lane.session

    async def send(self, lane: Lane, plan: Plan, journey: Journey, headers: Mapping[str, str], secret: str) -> Verdict:
        """What the target answers to ``plan`` with these headers, redacted, or what became of it instead. ``secret``
        is replaced where the answer repeats it."""
        token = JOURNEY.set(journey)
        try:
            async with self._session(lane).request(
                plan.method, URL(plan.url, encoded=True), data=plan.body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                if not 200 <= status < 300:
                    no = answered(
                        status,
                        response.headers.getall("Retry-After", ()),
                        self._clock.now_us(),
                        plan.repeat,
                        plan.what,
                    )
                    return await _with_body(no, response, lane, secret)
                raw = await read_capped(response, lane.target.max_response_bytes)
                kept = lane.redaction.headers(response.headers)
        except NotOursToSend:
            message = f"{plan.what}: this node's lease has run out; whoever owns the run makes the call"
            return refused("lease_ran_out", message, retryable=True)
        except Unusable as error:
            return unusable(error.reason, str(error), status=status, repeat=plan.repeat, what=plan.what)
        except (ClientError, OSError, ValueError, RuntimeError) as error:
            if isinstance(error, TimeoutError):
                raise
            return broken(error, journey.sent, journey.refused, plan.what)
        finally:
            JOURNEY.reset(token)
        body, binary = plain_body(raw, kept.get("content-type", ""), lane.redaction, secret)
        result = {"status": status, "headers": kept, "body": body, "b3": content_address(raw), "fallback": False}
        if binary:
            result["base64"] = True
        return Verdict(status=status, healthy=True, value=result)


async def _with_body(verdict: Verdict, response: ClientResponse, lane: Lane, secret: str) -> Verdict:
    """``verdict`` with the body of the answer as its value: redacted and shortened.

    The status has said what matters, so a body that cannot be taken is left out and changes nothing. What is larger
    than the target allows is not read on: it is not redacted as a whole, so none of it is kept.
    """
    try:
        raw = await read_capped(response, lane.target.max_response_bytes)
    except (Unusable, ClientError, OSError):
        # A deadline is no OSError of the connection: it stays the answer's status that counts here.
        return verdict
    return shortened(verdict, raw, response.headers.get("Content-Type", ""), lane.redaction, secret)
