"""Permits: what a run holds, put to the question before a call leaves."""

from __future__ import annotations

from typing import Protocol

from rco.capability.authority import Refusal
from rco.capability.scope import Ask
from rco.egress.verdict import Verdict, refused
from rco.model.effect import Attempt
from rco.model.path import path_segments

__all__ = ["Leave", "Permit"]


class Permit(Protocol):
    """What a run holds. ``shown`` names the capability in evidence."""

    @property
    def shown(self) -> str: ...

    def refusal(self, ask: Ask) -> Refusal | None:
        """Why the call may not leave now, or ``None``."""
        ...


class Leave:
    """One call's question. Asked when the call comes, and again when it is sent: it may have waited in between, and
    what was revoked meanwhile must not leave."""

    __slots__ = ("_ask", "_permit")

    def __init__(self, permit: Permit, target: str, method: str, path: str, attempt: Attempt) -> None:
        """Raises ``PathRefused``."""
        self._permit = permit
        self._ask = Ask(
            kind="call",
            name=target,
            namespace=attempt.namespace,
            method=method,
            segments=path_segments(path),
            corr_id=attempt.corr_id,
        )

    @property
    def shown(self) -> str:
        return self._permit.shown

    def refused(self, what: str) -> Verdict | None:
        """The verdict when the call may not leave. One that may be allowed later is tried again."""
        refusal = self._permit.refusal(self._ask)
        if refusal is None:
            return None
        return refused(refusal.reason, f"{what}: {refusal.message}", retryable=refusal.passing)
