"""What became of one attempt, and what that means for engine, breaker and evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from rco.egress.breaker import Shut
from rco.egress.limits import Crowded
from rco.egress.retry_after import retry_after_s
from rco.model.target import Repeat

__all__ = [
    "Verdict",
    "answered",
    "crowded",
    "late",
    "permit_ran_out",
    "refused",
    "shut",
    "switched_off",
    "unusable",
]

SWITCH_WAIT_S, BUDGET_WAIT_S = 60.0, 600.0
"""So long at most before a call that waits asks again: somebody may have changed it meanwhile."""

_TRY_AGAIN = frozenset({408, 425, 429})
_PAUSES = frozenset({429, 503})


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``reason`` is empty when the attempt succeeded. ``healthy``: what the breaker hears (``None``: nothing).

    ``allow`` tells whether the rules let the call leave. ``pause_s`` is what the target itself asked for.
    """

    reason: str = ""
    kind: str = ""
    message: str = ""
    code: str = "call_failed"
    status: int = 0
    allow: bool = True
    retryable: bool = False
    ambiguous: bool = False
    retry_after_s: float | None = None
    pause_s: float | None = None
    waits: bool = False
    """It never left and may leave later: that is no attempt."""
    healthy: bool | None = None
    value: Any = None


def refused(reason: str, message: str, *, retryable: bool = False) -> Verdict:
    """Egress does not let it leave. No socket was opened, or the guard refused to open it."""
    return Verdict(
        reason=reason, kind="CallRefused", message=message, code="call_refused", allow=False, retryable=retryable
    )


def shut(why: Shut, what: str) -> Verdict:
    """The breaker is open, or the target asked to be left alone."""
    words = {"breaker_open": "its breaker is open", "closed_until": "it asked to be left alone"}
    # A breaker says that the target fails, which runs are told in the end; a target that asked for time gets it.
    waits = why.reason == "closed_until"
    return _not_now(why.reason, f"{what}: {words[why.reason]}", why.retry_after_s, waits=waits)


def switched_off(scope: str, reason: str, left_s: float, what: str, *, fail: bool) -> Verdict:
    """An operator has closed it."""
    message = f"{what}: {scope} is closed by an operator ({reason or 'no reason given'}); rco target open opens it"
    if fail:
        return refused("closed", message)
    return _not_now("closed", message, min(left_s, SWITCH_WAIT_S), waits=True)


def permit_ran_out(what: str) -> Verdict:
    """What was leased for it ran out before it could be sent."""
    return _not_now("permit_ran_out", f"{what}: no connection while its permit lasted", 0.0, waits=True)


def crowded(why: Crowded, what: str, *, fail: bool = False) -> Verdict:
    """A limit lets no more through. ``fail``: a call that meets a spent budget fails."""
    words = {
        "rate_limited": "its rate is used up for longer than this call may wait",
        "concurrency_limited": "as many calls as it may have at once are under way, and none ended in time",
        "queue_full": "too many calls wait for it",
        "budget_spent": "its budget for this period is used up",
    }
    message = f"{what}: {words[why.reason]}"
    if why.reason == "budget_spent":
        if math.isinf(why.retry_after_s):
            return refused("budget_too_small", f"{what}: it costs more than its whole budget; raise the budget")
        if fail:
            return refused("budget_spent", message)
    return _not_now(why.reason, message, min(why.retry_after_s, BUDGET_WAIT_S), waits=True)


def _not_now(reason: str, message: str, after_s: float, *, waits: bool) -> Verdict:
    return Verdict(
        reason=reason,
        kind="TargetUnavailable",
        message=message,
        code="call_refused",
        allow=False,
        retryable=True,
        retry_after_s=after_s,
        waits=waits,
    )


def late(sent: bool, timeout_s: float, what: str) -> Verdict:
    """The time ran out. Once something was sent, nobody knows whether it took effect."""
    stage = "no answer" if sent else "no connection"
    return Verdict(
        reason="timeout",
        kind="Timeout",
        message=f"{what}: {stage} within {timeout_s:g}s",
        retryable=True,
        ambiguous=sent,
        healthy=False,
    )


def unusable(reason: str, message: str, *, status: int, repeat: Repeat, what: str) -> Verdict:
    """An answer came that cannot be taken: too large or compressed. It would be so again."""
    return Verdict(
        reason=reason,
        kind="BadAnswer",
        message=f"{what}: {message}",
        status=status,
        ambiguous=repeat is Repeat.NEVER,
        healthy=False,
    )


def answered(status: int, retry_after: Sequence[str], now_us: int, repeat: Repeat, what: str) -> Verdict:
    """An answer other than 2xx.

    408, 425, 429 and 5xx may be tried again. A 5xx or 3xx to a call that cannot be repeated is ambiguous (the failure
    may have come after the effect, a redirect often does); for safe and keyed calls it is not, as repeating settles it.
    408, 425, 429 and the other 4xx say that nothing was done.
    """
    pause_s = retry_after_s(retry_after, now_us) if status in _PAUSES else None
    if 300 <= status < 400:
        message = f"{what} answered {status}, a redirect; call the final path, redirects are not followed"
    else:
        message = f"{what} answered {status}"
    done_perhaps = not 400 <= status < 500
    return Verdict(
        reason="redirect" if 300 <= status < 400 else f"status_{status // 100}xx",
        kind="HttpStatus",
        message=message,
        status=status,
        retryable=status in _TRY_AGAIN or 500 <= status < 600,
        ambiguous=done_perhaps and repeat is Repeat.NEVER,
        retry_after_s=pause_s,
        pause_s=pause_s,
        healthy=not done_perhaps,
    )
