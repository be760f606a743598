"""What the ingress counts, and what it tells of a refusal: one decision, one count and, within its rate, one line."""

from __future__ import annotations

from collections.abc import Callable

from rco.bridge.admission import Route
from rco.errors import Reason, Refused, StoreError
from rco.kit.bucket import TokenBucket
from rco.kit.clock import Clock
from rco.kit.digest import content_address
from rco.kit.latency import latency_bucket
from rco.model.decision import Decision, Verb
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Counter, Metrics
from rco.telemetry.signals import (
    INTEROP_AUTH_FAILURES,
    INTEROP_BUSY,
    INTEROP_QUOTA,
    INTEROP_REJECTED,
    INTEROP_REQUESTS,
    INTEROP_SECRET_MATCHED,
    INTEROP_VERIFY,
)

__all__ = ["ROUTE", "Tally"]

ROUTE = "/webhooks/{provider}"
LOG_RATE_PER_S = 10.0
LOG_BURST = 50
_UNKNOWN = "unknown"
_OTHER_METHOD = "other"


class Tally:
    """The counters of one ingress. ``note`` takes the decision of every refusal. Belongs to one loop."""

    __slots__ = (
        "_auth_failures",
        "_clock",
        "_log",
        "_log_bucket",
        "_matched",
        "_metrics",
        "_note",
        "_requests",
        "_silenced",
        "_verified",
    )

    def __init__(self, note: Callable[[Decision], None], clock: Clock, metrics: Metrics, log: Log) -> None:
        self._note, self._clock, self._metrics, self._log = note, clock, metrics, log
        self._log_bucket = TokenBucket(LOG_RATE_PER_S, LOG_BURST, clock)
        self._silenced = 0
        self._verified: dict[tuple[str, str], Counter] = {}
        self._matched: dict[tuple[str, str], Counter] = {}
        self._requests: dict[tuple[str, int], Counter] = {}
        self._auth_failures = metrics.counter(INTEROP_AUTH_FAILURES)

    def refused(
        self,
        refused: Refused,
        route: Route | None,
        corr_id: str,
        method: str,
        body: bytes,
        error: Exception,
        began: float,
    ) -> None:
        """One decision, one count, and, within its rate, one line."""
        reason, provider = refused.reason, _UNKNOWN if route is None else route.name
        b3 = content_address(body) if body else ""
        self._note(
            Decision(
                verb=Verb.REFUSE,
                at_us=self._clock.now_us(),
                allow=False,
                subject=provider,
                corr_id=corr_id,
                reason=refused.detail,
                b3=b3,
                facts={
                    "reason": reason.word,
                    "status": refused.status,
                    "latency_bucket": latency_bucket(self._clock.monotonic() - began),
                },
            )
        )
        metrics = self._metrics
        metrics.counter(INTEROP_REJECTED, reason=reason.word).add()
        if reason is Reason.UNAUTH:
            self._auth_failures.add()
        elif reason is Reason.RATE_LIMIT:
            metrics.counter(INTEROP_QUOTA, scope=refused.detail).add()
        elif reason is Reason.BACKPRESSURE:
            metrics.counter(INTEROP_BUSY, endpoint=ROUTE).add()
        internal = reason is Reason.INTERNAL
        if self._log_bucket.take() and not internal:
            self._silenced += 1
            return
        silenced, self._silenced = self._silenced, 0
        write = self._log.error if internal else self._log.warning
        fields = {"error": error} if internal or isinstance(error, StoreError) else {}
        write(
            "webhook.refused",
            route=ROUTE,
            method=method if method == "POST" else _OTHER_METHOD,
            code=refused.status,
            status=refused.status,
            reason=reason.word,
            detail=refused.detail,
            provider=provider,
            corr_id=corr_id,
            request_id=corr_id,
            b3_hash=b3,
            size_bytes=len(body),
            dropped=silenced,
            **fields,
        )

    def answered(self, method: str, status: int) -> None:
        """An answer that left."""
        key = (method, status) if method == "POST" else (_OTHER_METHOD, status)
        counter = self._requests.get(key)
        if counter is None:
            counter = self._metrics.counter(INTEROP_REQUESTS, route=ROUTE, method=key[0], status=str(status))
            self._requests[key] = counter
        counter.add()

    def matched(self, provider: str, secret_id: str) -> None:
        """A verified event, and which secret it was verified with."""
        counter = self._matched.get((provider, secret_id))
        if counter is None:
            counter = self._metrics.counter(INTEROP_SECRET_MATCHED, provider=provider, secret_id=secret_id)
            self._matched[provider, secret_id] = counter
        counter.add()
        self.verified(provider, "ok")

    def verified(self, provider: str, result: str) -> None:
        """A signature that was looked at: ``ok``, or why it does not hold."""
        counter = self._verified.get((provider, result))
        if counter is None:
            counter = self._metrics.counter(INTEROP_VERIFY, provider=provider, result=result)
            self._verified[provider, result] = counter
        counter.add()
