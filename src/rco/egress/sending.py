"""Sending: one request over the HTTP client. The first call loads it: it takes as long as a third of a start."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from aiohttp import ClientError, TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import HttpProcessingError

from rco.egress.broken import broken
from rco.egress.incoming import Unusable, plain_body, read_capped, shortened
from rco.egress.lane import Lane
from rco.egress.plan import Plan
from rco.egress.socket_guard import JOURNEY, Journey, NotOursToSend
from rco.egress.verdict import Verdict, answered, refused, unusable
from rco.egress.wire import Reply, Wire
from rco.kit.clock import Clock
from rco.kit.digest import content_address

__all__ = ["Sending"]

_DNS_CACHE_S = 10


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

    def _wire(self, lane: Lane) -> Wire:
        wire = lane.wire
        if wire is None:
            connector = TCPConnector(
                resolver=self._resolver,
                socket_factory=lane.guard,
                limit=lane.target.concurrency,
                ttl_dns_cache=_DNS_CACHE_S,
                ssl=self._tls or True,
            )
            wire = lane.wire = Wire(connector, lane.endpoint.origin, lane.target.concurrency)
        return wire

    async def send(self, lane: Lane, plan: Plan, journey: Journey, headers: Mapping[str, str], secret: str) -> Verdict:
        """What the target answers to ``plan`` with these headers, redacted, or what became of it instead. ``secret``
        is replaced where the answer repeats it."""
        token = JOURNEY.set(journey)
        reply: Reply | None = None
        try:
            reply = await self._wire(lane).ask(plan.method, plan.path, headers, plan.body, journey.leaves)
            status = reply.status
            if not 200 <= status < 300:
                no = answered(
                    status,
                    reply.headers.getall("Retry-After", ()),
                    self._clock.now_us(),
                    plan.repeat,
                    plan.what,
                )
                return await _with_body(no, reply, lane, secret)
            raw = await read_capped(reply, lane.target.max_response_bytes)
            kept = lane.redaction.headers(reply.headers)
        except NotOursToSend:
            message = f"{plan.what}: this node's lease has run out; whoever owns the run makes the call"
            return refused("lease_ran_out", message, retryable=True)
        except Unusable as error:
            return unusable(error.reason, str(error), status=status, repeat=plan.repeat, what=plan.what)
        except (ClientError, HttpProcessingError, OSError, ValueError, RuntimeError) as error:
            if isinstance(error, TimeoutError):
                raise
            return broken(error, journey.sent, journey.refused, plan.what)
        finally:
            if reply is not None:
                reply.end()
            JOURNEY.reset(token)
        body, binary = plain_body(raw, kept.get("content-type", ""), lane.redaction, secret)
        result = {"status": status, "headers": kept, "body": body, "b3": content_address(raw), "fallback": False}
        if binary:
            result["base64"] = True
        return Verdict(status=status, healthy=True, value=result)


async def _with_body(verdict: Verdict, reply: Reply, lane: Lane, secret: str) -> Verdict:
    """``verdict`` with the body of the answer as its value: redacted and shortened.

    The status has said what matters, so a body that cannot be taken is left out and changes nothing. What is larger
    than the target allows is not read on: it is not redacted as a whole, so none of it is kept.
    """
    try:
        raw = await read_capped(reply, lane.target.max_response_bytes)
    except (Unusable, ClientError, OSError):
        # A deadline is no OSError of the connection: it stays the answer's status that counts here.
        return verdict
    return shortened(verdict, raw, reply.headers.get("Content-Type", ""), lane.redaction, secret)
