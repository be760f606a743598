"""What one attempt will send, worked out and checked before anything else happens."""

from __future__ import annotations

import math

import msgspec

from rco.egress.lane import Lane
from rco.egress.outgoing import NotSendable, body_of, check_headers, path_of
from rco.kit.digest import content_address
from rco.kit.ids import Ids, well_formed_corr_id
from rco.model.effect import Attempt
from rco.model.target import CallRequest, Repeat, Target
from rco.telemetry.trace import new_trace, parse_traceparent

__all__ = ["Plan", "plan_of", "repeat_of"]

_MAY_BE_SAID = {"accept": "Accept", "user-agent": "User-Agent"}
"""What is said of our own accord where the caller says nothing."""
_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Plan(msgspec.Struct, frozen=True, gc=False):
    """One request, ready to be sent but for its credential."""

    method: str
    template: str
    repeat: Repeat
    path: str
    headers: dict[str, str]
    body: bytes | None
    b3: str
    """Digest of the body; empty when there is none."""
    timeout_s: float
    cost: int
    what: str
    """How errors name the call: target, method and path template."""


def repeat_of(target: Target, method: str) -> Repeat:
    """``GET``, ``HEAD`` and ``OPTIONS`` are safe (RFC 9110 section 9.2.1); others are keyed when the target drops
    repeats by key. ``PUT`` and ``DELETE`` are idempotent on paper only, so they get no exception."""
    if method in _SAFE:
        return Repeat.SAFE
    return Repeat.KEYED if target.idempotency_header else Repeat.NEVER


def plan_of(lane: Lane, request: CallRequest, attempt: Attempt, *, ids: Ids, body_limit_bytes: int) -> Plan:
    """Raises ``NotSendable`` or ``PathRefused`` when the target does not allow it or it cannot be sent."""
    target = lane.target
    method = request.method.upper()
    template = lane.rules.match(method, request.path)
    if template is None:
        raise NotSendable("not_allowed", "no rule allows this method and path; add one to the target's allow list")
    timeout_s = target.timeout_s
    if request.timeout_s is not None:
        if not (request.timeout_s > 0 and math.isfinite(request.timeout_s)):
            raise NotSendable("timeout", f"timeout_s {request.timeout_s}; give seconds above 0")
        # The target's time is a bound, not a default: authors may ask for less.
        timeout_s = min(timeout_s, request.timeout_s)
    headers = {
        "Accept-Encoding": "identity",
        "Accept": "*/*",
        "User-Agent": "rco",
        "traceparent": attempt.span or _span_of(attempt.trace, ids),
    }
    if attempt.corr_id and well_formed_corr_id(attempt.corr_id):
        headers["X-Corr-ID"] = attempt.corr_id
    repeat = repeat_of(target, method)
    if repeat is Repeat.KEYED and target.idempotency_header:
        headers[target.idempotency_header] = attempt.idempotency_key
    elif repeat is Repeat.NEVER and target.probe is not None and target.probe.reference_header:
        headers[target.probe.reference_header] = attempt.idempotency_key
    body = body_of(request, body_limit_bytes)
    typed = False
    if request.headers:
        check_headers(request.headers, target)
        lower = {name.lower() for name in request.headers}
        for name, ours in _MAY_BE_SAID.items():
            if name in lower:
                del headers[ours]
        typed = "content-type" in lower
        headers.update(request.headers)
    if not typed:
        if body is not None:
            headers["Content-Type"] = "application/json"
        elif method in _WITH_CONTENT:
            headers["Content-Type"] = "application/octet-stream"
    return Plan(
        method,
        template,
        repeat,
        path_of(lane.endpoint, request),
        headers,
        body,
        content_address(body) if body is not None else "",
        timeout_s,
        lane.rules.cost(method, template),
        f"{target.name} {method} {template}",
    )


def _span_of(trace: str, ids: Ids) -> str:
    """A ``traceparent`` of its own for the call: a child of ``trace``, or of a new trace when that is none."""
    parent = parse_traceparent(trace)
    return (parent.child(ids) if parent else new_trace(ids)).traceparent
