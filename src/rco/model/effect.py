"""An effect: something a run does outside its own journal, and what engine and egress both know of it.

The engine decides when an attempt is made and records what came of it; who performs it (egress for a governed call,
an author's function for a step) makes exactly one attempt and says how it went.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rco.kit.backoff import Backoff
from rco.kit.digest import digest
from rco.model.decision import Decision

__all__ = ["Answer", "Attempt", "EffectFailed", "RetryPolicy"]


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often an effect is tried (``attempts`` counts the first) and how long to wait between."""

    attempts: int = 3
    backoff: Backoff = Backoff()


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One try of a step."""

    run_id: bytes
    key: str
    number: int
    corr_id: str = ""
    trace: str = ""
    """``traceparent`` of the run."""
    namespace: str = "default"
    span: str = ""
    """``traceparent`` of the attempt itself, where it is recorded."""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of one step of one run, on any node, before and after a crash: 32 hex digits."""
        return digest(b"rco idempotency v1" + self.run_id + self.key.encode())[:16].hex()


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An attempt that succeeded: its value (plain data) and the decisions that go into evidence with it."""

    value: Any
    decisions: tuple[Decision, ...] = ()


class EffectFailed(Exception):
    """An attempt that failed.

    ``retryable``: another attempt may succeed. ``ambiguous``: the effect may have happened all the same (the answer
    was lost). ``retry_after_s``: the other side asked to wait. ``waits``: nothing was tried, as a limit or a switch
    lets nothing through now; it is asked again later, and no attempt is used up. ``code`` is the code of the error
    that the workflow meets when no attempt is left (``step_failed``, ``call_failed``, ``call_refused``, ``timed_out``).
    ``where`` is the place in the author's code, for people.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        code: str = "step_failed",
        retryable: bool = True,
        ambiguous: bool = False,
        retry_after_s: float | None = None,
        waits: bool = False,
        data: Any = None,
        decisions: tuple[Decision, ...] = (),
        where: str = "",
    ) -> None:
        self.where = where
        self.message, self.kind, self.code, self.data = message, kind, code, data
        self.retryable, self.ambiguous, self.retry_after_s = retryable, ambiguous, retry_after_s
        self.waits = waits
        self.decisions = decisions
        super().__init__(message)
