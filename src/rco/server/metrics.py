"""The metrics address: numbers for Prometheus, and health for whoever cannot reach the service's own port."""

from __future__ import annotations

from rco.errors import Reason, Refused
from rco.kit.ids import Ids
from rco.server.envelope import CORR_ID, send_refusal
from rco.server.framing import Receive, Scope, Send, read_head
from rco.server.health import Health
from rco.telemetry.metrics import CONTENT_TYPE, Metrics

__all__ = ["MetricsApp"]

_TYPE = (b"content-type", CONTENT_TYPE.encode())


class MetricsApp:
    """ASGI 3 for ``metrics_addr``: ``/metrics``, ``/healthz``, ``/readyz``, ``/startupz`` and ``/version``.

    Without a token, as scrapers have none: bind it where only they reach it. It holds counts and names from the
    configuration, nothing of any request.
    """

    __slots__ = ("_health", "_ids", "_metrics")

    def __init__(self, metrics: Metrics, health: Health, ids: Ids) -> None:
        self._metrics, self._health, self._ids = metrics, health, ids

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        head = read_head(scope["headers"])
        corr_id = head.corr_id or self._ids.ulid()
        path, method = scope["path"], scope["method"]
        if head.fault is not None:
            await send_refusal(send, head.fault, corr_id, close=True)
        elif path in Health.PATHS:
            await self._health(path, method, send, corr_id)
        elif path != "/metrics":
            await send_refusal(send, Refused(Reason.NOT_FOUND, "path"), corr_id)
        elif method not in ("GET", "HEAD"):
            await send_refusal(send, Refused(Reason.METHOD, "method"), corr_id, allow=b"GET, HEAD")
        else:
            body = self._metrics.render()
            headers = [_TYPE, (CORR_ID, corr_id.encode()), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
