"""A target: a downstream API that we may call, and under which rules."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

from rco.kit.backoff import Backoff

__all__ = [
    "PROBE_WORDS",
    "Breaker",
    "Budget",
    "CallLimits",
    "CallRequest",
    "CallResult",
    "Credential",
    "Fallback",
    "NamespaceLimits",
    "Repeat",
    "Rule",
    "Target",
    "TargetProbe",
]

PROBE_WORDS = ("idempotency_key", "run_id", "corr_id", "body.NAME", "query.NAME")
"""What may stand in braces in ``TargetProbe.get``; of ``body`` and ``query`` a field of the call, by its path."""


class Repeat(StrEnum):
    """Whether an effect may be done again when it is not known whether it was done."""

    SAFE = "safe"
    """Reads: repeat at will."""
    KEYED = "keyed"
    """The other side drops repeats by idempotency key: repeat with the same key."""
    NEVER = "never"
    """Written down before it is tried; after a crash or a lost answer it is *in doubt*."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One allowed kind of request. ``path`` may hold ``*`` for one segment and end in ``/**`` for the rest."""

    methods: list[str]
    path: str
    cost: int = 1
    """What one such call takes of a budget that counts cost."""


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many ``calls``, or so much declared ``cost``, in each hour, day or month of UTC. Give one of both."""

    per: Literal["hour", "day", "month"]
    calls: int | None = None
    cost: int | None = None


class CallLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that hold over all nodes. What is left out is not limited."""

    rate_per_s: float | None = None
    burst: int | None = None
    """So many may go at once; by default one second's worth, at least 1."""
    concurrency: int | None = None
    budgets: list[Budget] = []


class Breaker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opens when ``failure_ratio`` of ``min_calls`` or more within ``window_s`` failed; tries again in ``open_s``."""

    failure_ratio: float = 0.5
    min_calls: int = 20
    window_s: float = 30.0
    open_s: float = 5.0


class Credential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is put on a request at send time. ``secret`` is a reference: ``env:NAME`` or ``file:/path``, no value."""

    secret: str
    header: str = "Authorization"
    scheme: str = "Bearer"
    limits: CallLimits | None = None
    """Limits of the credential itself, over all targets that use it."""


class Fallback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in when a call fails for good: a fixed JSON answer. Its use is visible in run, metrics and audit."""

    status: int = 200
    body: object = None


class TargetProbe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the target is asked whether a call that may not be repeated was done: for each that has no probe of its own.

    Statuses come first: those of ``not_done`` say that it was not, those of ``done`` (empty: every 2xx) that
    ``applied`` decides, and any other that it cannot be told yet.
    """

    get: str
    """Path and query, e.g. `/orders?reference={idempotency_key}`. In braces: `idempotency_key`, `run_id`, `corr_id`, or
    a field of the call, `body.order.id` or `query.name`. A rule must allow it."""
    reference_header: str | None = None
    """A header in which these calls carry their idempotency key, so that the target can find them by it."""
    done: list[int] = []
    not_done: list[int] = msgspec.field(default_factory=lambda: [404])
    applied: str = "."
    """A jq expression over the body that holds when it was done."""
    value: str = "."
    """One for what the call is worth then, as the body of its answer."""
    grace_s: float = 10.0
    """As long a request may still be on its way; before, that it was not done is not believed."""
    absent: Literal["again", "failed"] = "again"
    attempts: int = 12


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A downstream API. Everything that is not allowed here is refused before a socket opens."""

    name: str
    base_url: str
    allow: list[Rule]
    timeout_s: float = 10.0
    attempts: int = 5
    backoff: Backoff = Backoff()
    rate_per_s: float | None = None
    burst: int | None = None
    concurrency: int = 64
    budgets: list[Budget] = []
    per_namespace: CallLimits | None = None
    """Limits of each namespace at this target, within those of the target."""
    when_closed: Literal["wait", "fail"] = "wait"
    """What a call does that meets a closed target or a spent budget: its run waits, or the call fails at once."""
    breaker: Breaker = Breaker()
    credential: Credential | None = None
    idempotency_header: str | None = "Idempotency-Key"
    """The header by which the other side drops repeats; ``None``: it does not, so unsafe calls are never repeated."""
    probe: TargetProbe | None = None
    """How it is asked what became of a call that may not be repeated."""
    fallback: Fallback | None = None
    allow_private: list[str] = []
    """Networks (CIDR) this target may reach although they are private or loopback."""
    max_response_bytes: int = 1 << 20
    redact: list[str] = []
    """Names of JSON fields and headers whose values are replaced before anything is stored."""


class NamespaceLimits(CallLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of all calls of one namespace, whatever their target; ``*`` stands for each that is not named."""

    namespace: str


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One governed request, as a workflow asks for it."""

    target: str
    method: str
    path: str
    json: object = None
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    timeout_s: float | None = None


class CallResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a governed request, redacted. ``fallback`` tells that the target's fallback stood in."""

    status: int
    headers: dict[str, str]
    body: Any
    fallback: bool = False
    b3: str = ""
    """Digest of the body as it came over the wire."""
