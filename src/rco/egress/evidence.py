"""The decision that each attempt leaves."""

from __future__ import annotations

from rco.kit.ids import id_text
from rco.kit.latency import latency_bucket
from rco.model.decision import Decision, Verb
from rco.model.effect import Attempt

__all__ = ["call_decision", "latency_bucket", "shown_path"]

_PATH_SHOWN = 200


def shown_path(path: str) -> str:
    """A path that no rule matched, fit for evidence: no query or fragment, printable ASCII only, bounded."""
    bare = path.partition("?")[0].partition("#")[0][:_PATH_SHOWN]
    return "".join(char if " " < char < "\x7f" else "?" for char in bare)


def call_decision(
    *,
    at_us: int,
    allow: bool,
    target: str,
    attempt: Attempt,
    reason: str,
    b3: str,
    method: str,
    path: str,
    status: int,
    took_s: float,
    capability: str = "",
) -> Decision:
    """``path`` is the template of the rule that matched, or what ``shown_path`` gives; ``capability`` what the run
    holds, as evidence shows it."""
    held = {"capability": capability} if capability else {}
    return Decision(
        verb=Verb.CALL,
        at_us=at_us,
        allow=allow,
        subject=target,
        run=id_text(attempt.run_id) if len(attempt.run_id) == 16 else "",
        corr_id=attempt.corr_id,
        reason=reason,
        b3=b3,
        facts={
            "method": method,
            "path": path,
            "status": status,
            "attempt": attempt.number,
            "outcome": reason or "ok",
            "latency_bucket": latency_bucket(took_s),
            **held,
        },
    )
