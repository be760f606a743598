"""Who may come in, before anything of the request is read: known and switched on, within rate, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from rco.bridge.callers import CallerBuckets
from rco.bridge.certificates import Certificates
from rco.bridge.contract import Expression, ProviderSettings, Verifier
from rco.bridge.forgetful import Forgetful
from rco.bridge.kind import Kind
from rco.bridge.providers import build_verifier, check_provider
from rco.bridge.rules import key_of
from rco.bridge.secrets import Resolve
from rco.errors import ConfigInvalid, Reason, Refused
from rco.kit.bucket import TokenBucket
from rco.kit.clock import Clock

__all__ = ["AdmissionLimits", "Route", "Turnstile", "open_routes"]


class AdmissionLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one instance, over all its providers."""

    rate_per_s: float = 500.0
    burst: int = 250
    caller_rate_per_s: float | None = None
    """For each caller's address, besides. Not given: callers are not told apart."""
    caller_burst: int = 50
    inflight: int = 512
    """Requests between the turnstile and their answer."""
    held_bytes: int = 64 << 20
    """Bodies held in memory at one time, in all."""


class Route:
    """One provider as the edge sees it. ``verifier`` is ``None`` when it is switched off."""

    __slots__ = ("bucket", "content_types", "exempt", "large", "name", "settings", "verifier")

    def __init__(self, settings: ProviderSettings, verifier: Verifier | None, clock: Clock, kind: Kind) -> None:
        content_types = settings.content_types or kind.content_types
        self.exempt = settings.in_brownout == "accept" or (settings.in_brownout is None and not kind.redelivers)
        """Goes in during a brownout."""
        self.large = settings.large_body_limit_bytes is not None
        """Takes bodies over its ``body_limit`` as a stream: its verifier is a ``LargeVerifier``."""
        self.name, self.settings, self.verifier = settings.name, settings, verifier
        self.content_types = frozenset(media.encode() for media in content_types)
        self.bucket: TokenBucket | None = None
        if settings.rate_per_s is not None:
            self.bucket = TokenBucket(settings.rate_per_s, settings.burst or max(1.0, settings.rate_per_s), clock)


def open_routes(
    settings: Iterable[ProviderSettings],
    *,
    resolve: Resolve,
    clock: Clock,
    compile_expression: Callable[[str], Expression] | None = None,
    certificates: Certificates | None = None,
    forgetting_since_us: int | None = None,
) -> dict[str, Route]:
    """The routes of all providers, by name: every one of them or, with ``ConfigInvalid``, none. Secrets of a provider
    that is switched off are not opened. ``forgetting_since_us``: verifiers can forget their secrets, and take nothing
    that was signed before."""

    def build(one: ProviderSettings) -> Verifier:
        return build_verifier(
            one,
            resolve=resolve,
            now_us=clock.now_us(),
            compile_expression=compile_expression,
            certificates=certificates,
        )

    routes: dict[str, Route] = {}
    for one in settings:
        kind = check_provider(one)
        if one.name in routes:
            raise ConfigInvalid(f"provider {one.name!r} is there twice", cure="Rename one.", key=key_of(one))
        verifier: Verifier | None = None
        if one.enabled:
            verifier = build(one)
            if forgetting_since_us is not None:
                verifier = Forgetful(partial(build, one), forgetting_since_us, verifier)
        routes[one.name] = Route(one, verifier, clock, kind)
    return routes


class Turnstile:
    """Counts requests in and out. Belongs to one loop; the default is to refuse."""

    __slots__ = ("_bucket", "_clock", "_limits", "_routes", "callers", "held_bytes", "inflight")

    def __init__(self, limits: AdmissionLimits, clock: Clock) -> None:
        self._limits = limits
        self._bucket = TokenBucket(limits.rate_per_s, limits.burst, clock)
        self._routes: dict[str, Route] = {}
        self._clock = clock
        self.callers = self._callers(limits)
        self.inflight = 0
        self.held_bytes = 0

    def limit(self, limits: AdmissionLimits) -> None:
        """Keep to other limits from now on. Buckets whose rates did not change go on as they are."""
        if (limits.rate_per_s, limits.burst) != (self._limits.rate_per_s, self._limits.burst):
            self._bucket = TokenBucket(limits.rate_per_s, limits.burst, self._clock)
        if (limits.caller_rate_per_s, limits.caller_burst) != (
            self._limits.caller_rate_per_s,
            self._limits.caller_burst,
        ):
            self.callers = self._callers(limits)
        self._limits = limits

    def _callers(self, limits: AdmissionLimits) -> CallerBuckets | None:
        if limits.caller_rate_per_s is None:
            return None
        return CallerBuckets(limits.caller_rate_per_s, limits.caller_burst, self._clock)

    def replace(self, routes: dict[str, Route]) -> None:
        """Swap all routes at once. Requests that are inside keep the route they came in by."""
        self._routes = dict(routes)

    @property
    def routes(self) -> dict[str, Route]:
        return self._routes

    def greet(self, caller: str) -> None:
        """Count one request of a caller, whatever it asks for. Raises ``Refused`` (``RATE_LIMIT``, ``rate_caller``)."""
        if self.callers is not None:
            wait_s = self.callers.take(caller)
            if wait_s:
                raise Refused(Reason.RATE_LIMIT, "rate_caller", retry_after_s=wait_s)

    def enter(self, provider: str) -> Route:
        """Let one request in; ``leave`` must follow. Raises ``Refused`` and counts nothing:

        ``NOT_FOUND`` ``provider_unknown``; ``POLICY_BLOCKED`` ``provider_off``; ``BACKPRESSURE`` ``inflight_full``;
        ``RATE_LIMIT`` ``rate_instance`` or ``rate_provider``.
        """
        route = self._routes.get(provider)
        if route is None:
            raise Refused(Reason.NOT_FOUND, "provider_unknown")
        if route.verifier is None:
            raise Refused(Reason.POLICY_BLOCKED, "provider_off")
        if self.inflight >= self._limits.inflight:
            raise Refused(Reason.BACKPRESSURE, "inflight_full", retry_after_s=1.0)
        # The provider's own bucket first: one that sends too much must not use up what the others share.
        if route.bucket is not None:
            wait_s = route.bucket.take()
            if wait_s:
                raise Refused(Reason.RATE_LIMIT, "rate_provider", retry_after_s=wait_s)
        wait_s = self._bucket.take()
        if wait_s:
            raise Refused(Reason.RATE_LIMIT, "rate_instance", retry_after_s=wait_s)
        self.inflight += 1
        return route

    def hold(self, size_bytes: int) -> None:
        """Account for a part of a body that is kept in memory. Raises ``Refused`` (``BACKPRESSURE``, ``held_full``)
        and counts nothing when it would be too much."""
        if self.held_bytes + size_bytes > self._limits.held_bytes:
            raise Refused(Reason.BACKPRESSURE, "held_full", retry_after_s=1.0)
        self.held_bytes += size_bytes

    def leave(self, held_bytes: int) -> None:
        """One request is answered, and the ``held_bytes`` it had accounted for are free again."""
        self.inflight -= 1
        self.held_bytes -= held_bytes
