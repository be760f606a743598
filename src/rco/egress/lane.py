"""A lane: one target with everything that lives as long as its declaration stays the same.

Each lane has a connection pool of its own. A pool shared by targets would hand a connection that was opened under one
target's rules (its private networks, its port) to another with the same host, past the guard.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from rco.egress.addresses import parse_networks
from rco.egress.breaker import CircuitBreaker
from rco.egress.credentials import check_reference
from rco.egress.limits import Limits
from rco.egress.meters import Meters
from rco.egress.outgoing import endpoint_of
from rco.egress.redaction import Redaction
from rco.egress.rules import Rules
from rco.egress.scopes import Scopes, credential_scope, target_scope
from rco.egress.socket_guard import OpenSocket, SocketGuard
from rco.egress.state import TargetState
from rco.errors import ConfigInvalid
from rco.kit.clock import Clock
from rco.model.target import Target
from rco.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from rco.egress.wire import Wire

__all__ = ["Lane"]

_WAYS_MAX = 1000
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


class Lane:
    """Belongs to one event loop."""

    __slots__ = (
        "_scopes",
        "_ways",
        "breaker",
        "calls",
        "endpoint",
        "guard",
        "limits",
        "meters",
        "outcomes",
        "redaction",
        "retired",
        "rules",
        "scope",
        "switches",
        "target",
        "users",
        "wire",
    )

    def __init__(
        self,
        target: Target,
        *,
        scopes: Scopes,
        clock: Clock,
        metrics: Metrics,
        opener: OpenSocket,
        limited: Callable[[str], None] | None = None,
    ) -> None:
        """Raises ``ConfigInvalid`` naming the target when its declaration cannot be used."""
        try:
            _check(target)
            self.endpoint = endpoint_of(target.base_url)
            self.rules = Rules(target.allow)
            self.limits = scopes.of_target(target)
            self.guard = SocketGuard(
                port=self.endpoint.port, allow_private=parse_networks(target.allow_private), opener=opener
            )
        except ValueError as error:
            raise ConfigInvalid(str(error), key=f"targets.{target.name}") from None
        self.target = target
        self._scopes = scopes
        self._ways: dict[str, tuple[Limits, ...]] = {}
        self.scope = target_scope(target.name)
        self.switches: tuple[str, ...] = (self.scope,)
        """Scopes that close all of it."""
        if target.credential is not None:
            self.switches += (credential_scope(target.credential.secret),)
        self.breaker = CircuitBreaker(target.breaker, clock)
        self.redaction = Redaction(target.redact)
        self.meters = Meters(target.name, metrics, limited)
        self.wire: Wire | None = None
        """Opened by the first call."""
        self.users = 0
        """Attempts under way, whatever they wait for."""
        self.retired = False
        self.calls = 0
        self.outcomes: Counter[str] = Counter()

    def way(self, namespace: str) -> tuple[Limits, ...]:
        """The limits that a call of ``namespace`` passes, in their order; the target's own are the last."""
        way = self._ways.get(namespace)
        if way is None:
            if len(self._ways) >= _WAYS_MAX:
                self._ways.clear()
            way = self._ways[namespace] = (*self._scopes.beside(self.target, namespace), self.limits)
        return way

    def forget_ways(self) -> None:
        """Limits beside the target's own were declared anew."""
        self._ways.clear()

    async def close(self) -> None:
        """Close every connection, those in use too. May be called twice."""
        if self.wire is not None:
            await self.wire.close()

    def state(self) -> TargetState:
        succeeded, failed = self.breaker.counts
        return TargetState(
            name=self.target.name,
            rate_per_s=self.limits.rate_per_s,
            tokens=self.limits.tokens,
            concurrency=self.target.concurrency,
            in_flight=self.limits.in_flight,
            waiting=self.limits.waiting,
            breaker=self.breaker.phase.value,
            window_succeeded=succeeded,
            window_failed=failed,
            closed_until_us=self.breaker.closed_until_us,
            calls=self.calls,
            outcomes=dict(self.outcomes),
        )


def _check(target: Target) -> None:
    breaker = target.breaker
    if not 0 < target.timeout_s <= 3600:
        raise ValueError(f"timeout_s {target.timeout_s}: write a time above 0 and up to 1h")
    if target.attempts < 1 or target.max_response_bytes < 1:
        raise ValueError("attempts and max_response_bytes must be at least 1")
    if not (0 < breaker.failure_ratio <= 1 and breaker.min_calls >= 1 and breaker.window_s > 0 and breaker.open_s > 0):
        raise ValueError("breaker: failure_ratio lies in (0, 1], min_calls is at least 1, window_s and open_s above 0")
    if target.idempotency_header is not None and not _HEADER_NAME.fullmatch(target.idempotency_header):
        raise ValueError(f"idempotency_header {target.idempotency_header!r} is no header name")
    if target.credential is not None:
        check_reference(target.credential.secret)
        if not _HEADER_NAME.fullmatch(target.credential.header):
            raise ValueError(f"credential header {target.credential.header!r} is no header name")
        if target.credential.scheme and not _HEADER_NAME.fullmatch(target.credential.scheme):
            raise ValueError("credential scheme is no scheme; write e.g. Bearer, or '' for the bare secret")
