"""One attempt to send a message to an endpoint, and its log.

Every endpoint has a lane of its own in an egress of its own, so that its address is checked on the socket, redirects
are off, its answer is capped and its Retry-After closes it alone. Lanes are bounded in number. An endpoint's rate is
leased from the ledger that the limits of targets are in, so it holds over all nodes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from rco.egress.client import Egress
from rco.egress.outgoing import endpoint_of
from rco.errors import ConfigInvalid
from rco.kit.canonical import canonical_json
from rco.kit.clock import MICROS, Clock, iso
from rco.kit.ids import Ids
from rco.model.decision import Decision
from rco.model.effect import Attempt, EffectFailed
from rco.model.endpoint import Endpoint
from rco.model.target import Breaker, CallLimits, CallRequest, Rule, Target
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics
from rco.webhooks.options import WebhookOptions
from rco.webhooks.safe import Safe
from rco.webhooks.signing import signature_header

__all__ = ["BODY_CHARS", "Sender", "Sent", "check_url"]

BODY_CHARS = 1024
"""So much of an answer's body is kept."""
URL_CHARS = 2048
ANSWER_BYTES = 64 << 10
_NEVER = Breaker(min_calls=1 << 30)
_GONE = 410


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt came to. ``log`` is plain data, redacted."""

    delivered: bool
    status: int
    retry_after_s: float | None
    log: dict[str, Any]
    decisions: tuple[Decision, ...]

    @property
    def gone(self) -> bool:
        """The endpoint says that it is there no more."""
        return self.status == _GONE


class Sender:
    """Belongs to one event loop; ``egress`` is one that nobody else uses, started and stopped by the owner."""

    def __init__(
        self,
        egress: Egress,
        safe: Safe,
        options: WebhookOptions,
        *,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        random: Callable[[], float],
    ) -> None:
        self._egress, self.safe, self.options = egress, safe, options
        self._clock, self._ids, self._metrics, self._random = clock, ids, metrics, random
        self._lanes: OrderedDict[str, Target] = OrderedDict()

    def check(self, url: str) -> None:
        """Raises ``ConfigInvalid`` for an address that cannot be an endpoint's."""
        check_url(url, allow_http=self.options.allow_http)

    def wait_s(self, attempt: int, retry_after_s: float | None) -> float | None:
        """How long to wait after failed attempt ``attempt`` (from 1), or ``None`` when it was the last."""
        if attempt > len(self.options.retry_s):
            return None
        bare = self.options.retry_s[attempt - 1]
        return max(bare * (1 + self.options.jitter * self._random()), retry_after_s or 0.0)

    async def send(
        self, endpoint: Endpoint, message_id: str, message: dict[str, Any], attempt: Attempt, number: int
    ) -> Sent:
        """Make exactly one attempt. Raises ``EffectFailed`` that ``waits`` when it could not leave now: that is none.

        Which secrets signed is in the log, by name.
        """
        now_us = self._clock.now_us()
        body = canonical_json(message)
        target, request = self._request(endpoint, message)
        log: dict[str, Any] = {"attempt": number, "at": iso(now_us), "message_id": message_id}
        try:
            signers = self.safe.signers(endpoint, now_us)
        except ConfigInvalid as problem:
            return self._ended(log, "secret_missing", 0, problem.message, None, None, ())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now_us // MICROS),
            "webhook-signature": signature_header((one for _, one in signers), message_id, now_us // MICROS, body),
            "User-Agent": "rco-webhooks",
        }
        log["request"] = {
            "method": "POST",
            "url": target.base_url + request.path,
            "bytes": len(body),
            "signed_with": [name for name, _ in signers],
        }
        self._lane(target)
        begun = self._clock.monotonic()
        try:
            answer = await self._egress.attempt(msgspec.structs.replace(request, headers=headers), attempt)
        except EffectFailed as problem:
            if problem.waits:
                raise
            data = problem.data if isinstance(problem.data, dict) else {}
            log["took_ms"] = round((self._clock.monotonic() - begun) * 1000)
            status, reason = data.get("status", 0), data.get("reason", problem.kind)
            if 200 <= status < 300:
                # It was taken; only the answer is larger than we want to read.
                return self._ended(log, "", status, None, None, None, problem.decisions)
            return self._ended(
                log, reason, status, problem.message, data.get("body"), problem.retry_after_s, problem.decisions
            )
        log["took_ms"] = round((self._clock.monotonic() - begun) * 1000)
        value = answer.value
        log["headers"] = value["headers"]
        return self._ended(log, "", value["status"], None, value["body"], None, answer.decisions)

    def _ended(
        self,
        log: dict[str, Any],
        reason: str,
        status: int,
        error: str | None,
        body: Any,
        retry_after_s: float | None,
        decisions: tuple[Decision, ...],
    ) -> Sent:
        text = body if isinstance(body, str) or body is None else msgspec.json.encode(body).decode()
        log |= {"status": status, "reason": reason}
        if error:
            log["error"] = error[:BODY_CHARS]
        if text is not None:
            log |= {"body": text[:BODY_CHARS], "body_chars": len(text)}
        if retry_after_s is not None:
            log["retry_after_s"] = retry_after_s
        outcome = "delivered" if not reason else f"status_{status // 100}xx" if status else "no_answer"
        self._metrics.counter(signals.WEBHOOK_ATTEMPTS, outcome=outcome).add()
        return Sent(delivered=not reason, status=status, retry_after_s=retry_after_s, log=log, decisions=decisions)

    def _request(self, endpoint: Endpoint, message: dict[str, Any]) -> tuple[Target, CallRequest]:
        parts = urlsplit(endpoint.url)
        path = parts.path or "/"
        target = Target(
            name=endpoint.endpoint_id,
            base_url=f"{parts.scheme}://{parts.netloc}",
            allow=[Rule(["POST"], "/**")],
            timeout_s=self.options.timeout_s,
            attempts=1,
            concurrency=self.options.endpoint_concurrency,
            # An endpoint is of one namespace, so this is the limit of all that is sent there.
            per_namespace=self._rate(endpoint),
            # Its attempts are days apart already; what a breaker would hold back is a delivery.
            breaker=_NEVER,
            idempotency_header=None,
            allow_private=self.options.allow_private,
            max_response_bytes=ANSWER_BYTES,
        )
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return target, CallRequest(target=target.name, method="POST", path=path, json=message, query=query)

    def _rate(self, endpoint: Endpoint) -> CallLimits | None:
        if endpoint.rate_per_s is not None:
            return CallLimits(rate_per_s=endpoint.rate_per_s, burst=endpoint.burst)
        common = self.options.endpoint_rate_per_s
        return None if common is None else CallLimits(rate_per_s=common)

    def _lane(self, target: Target) -> None:
        """See that there is a lane, and that there are not too many."""
        if self._lanes.get(target.name) == target:
            self._lanes.move_to_end(target.name)
            return
        self._lanes[target.name] = target
        self._lanes.move_to_end(target.name)
        while len(self._lanes) > self.options.lanes:
            self._lanes.popitem(last=False)
        # Equal declarations keep their lanes; attempts under way on others end first.
        self._egress.reload(self._lanes.values())


def check_url(url: str, *, allow_http: bool) -> None:
    """Raises ``ConfigInvalid`` for what is no plain address, and for one without TLS where that is not allowed."""
    cure = "Write https://host[:port]/path, with a query of names that occur once where it needs one."
    try:
        parts = urlsplit(url)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))]
        endpoint_of(url.partition("?")[0])
    except ValueError as problem:
        raise ConfigInvalid(f"this is no address of an endpoint ({problem})", cure=cure, key="url") from None
    if len(url) > URL_CHARS or parts.fragment or len(names) != len(set(names)):
        raise ConfigInvalid(
            "the address is too long, has a fragment or names a part of its query twice", cure=cure, key="url"
        )
    if parts.scheme != "https" and not allow_http:
        raise ConfigInvalid(
            "an endpoint is reached by https", cure="Write https://..., or set webhooks.allow_http: true.", key="url"
        )
