"""The root application: which part of the service a path belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rco.errors import Reason, Refused
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.server.envelope import CORR_ID, send_refusal
from rco.server.framing import App, Receive, Scope, Send, read_head
from rco.server.health import Health
from rco.server.ingress import PREFIX, Ingress
from rco.telemetry.metrics import Counter, Metrics
from rco.telemetry.signals import INFLIGHT_REQUESTS, REQUEST_LATENCY, REQUESTS

__all__ = ["Root"]

# A tunnel or an echo of the request is never wanted, whatever the path.
_NEVER = frozenset(("CONNECT", "TRACE"))


class Root:
    """One ASGI 3 application (https://asgi.readthedocs.io).

    ``/webhooks/...`` goes to the ingress, the health paths to health, and each prefix of ``mounts`` (such as ``/v1``)
    to the application behind it, which finds the request's correlation id in ``scope["corr_id"]`` and its head, which
    holds, in ``scope["head"]``. Everything else is
    404 in the envelope. Every answer carries ``X-Corr-ID``. Any part may be left out: its paths are then 404.
    """

    __slots__ = ("_clock", "_codes", "_health", "_ids", "_inflight", "_ingress", "_latency", "_metrics", "_mounts")

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        ingress: Ingress | None = None,
        health: Health | None = None,
        mounts: Mapping[str, App] | None = None,
    ) -> None:
        self._clock, self._ids, self._metrics = clock, ids, metrics
        self._ingress, self._health, self._mounts = ingress, health, dict(mounts or {})
        for prefix in self._mounts:
            if not prefix.startswith("/") or prefix.endswith("/"):
                raise ValueError(f"mount {prefix!r}: write it as /v1, with a slash in front and none at the end")
        self._codes: dict[int, Counter] = {}
        self._latency = metrics.histogram(REQUEST_LATENCY)
        self._inflight = metrics.gauge(INFLIGHT_REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan messages of a server that sends them."""
        kind = scope["type"]
        if kind != "http":
            if kind == "lifespan":
                await _lifespan(receive, send)
            return
        began = self._clock.monotonic()
        self._inflight.add(1)
        try:
            if self._ingress is not None and scope["path"].startswith(PREFIX):
                status = await self._ingress(scope, receive, send)
            else:
                status = await self._elsewhere(scope, receive, send)
        finally:
            self._inflight.add(-1)
        self._latency.observe(self._clock.monotonic() - began)
        counter = self._codes.get(status)
        if counter is None:
            counter = self._codes[status] = self._metrics.counter(REQUESTS, code=str(status))
        counter.add()

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> int:
        path: str = scope["path"]
        head = read_head(scope["headers"])
        corr_id = head.corr_id or self._ids.ulid()
        if head.fault is not None:
            await send_refusal(send, head.fault, corr_id, close=True)
            return head.fault.status
        if scope["method"] in _NEVER:
            await send_refusal(send, Refused(Reason.METHOD, "method"), corr_id, allow=b"GET, HEAD, POST")
            return Reason.METHOD.status
        if self._health is not None and path in Health.PATHS:
            return await self._health(path, scope["method"], send, corr_id)
        mounted = self._mounts.get("/" + path[1:].partition("/")[0])
        if mounted is None:
            await send_refusal(send, Refused(Reason.NOT_FOUND, "path"), corr_id)
            return Reason.NOT_FOUND.status
        scope["corr_id"], scope["head"] = corr_id, head
        stamped = _Stamped(send, corr_id)
        await mounted(scope, receive, stamped)
        return stamped.status


class _Stamped:
    """A ``send`` that sees the status and adds the correlation id where the application did not."""

    __slots__ = ("_corr_id", "_send", "status")

    def __init__(self, send: Send, corr_id: str) -> None:
        self._send, self._corr_id = send, corr_id
        self.status = 500

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if all(name != CORR_ID for name, _ in headers):
                message = {**message, "headers": [*headers, (CORR_ID, self._corr_id.encode())]}
        await self._send(message)


async def _lifespan(receive: Receive, send: Send) -> None:
    # Nothing begins or ends here: the parts live longer than the server, and are started and stopped around it.
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
