"""The calls of one run: the door out, asked with what the run holds."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from rco.egress.client import Egress
from rco.egress.permit import Permit
from rco.model.effect import Answer, Attempt, RetryPolicy
from rco.model.target import CallRequest, Repeat, TargetProbe

__all__ = ["Held"]


class Held:
    """Egress for one run: the same door with one more question. Implements what ``rco.workflow`` calls through."""

    __slots__ = ("_egress", "_permit")

    def __init__(self, egress: Egress, permit: Permit) -> None:
        self._egress, self._permit = egress, permit

    def repeat_class(self, request: CallRequest) -> Repeat:
        return self._egress.repeat_class(request)

    def probe(self, request: CallRequest) -> TargetProbe | None:
        return self._egress.probe(request)

    def retry_policy(self, request: CallRequest) -> RetryPolicy:
        return self._egress.retry_policy(request)

    def fallback(self, request: CallRequest) -> dict[str, Any] | None:
        return self._egress.fallback(request)

    def attempt(self, request: CallRequest, attempt: Attempt) -> Awaitable[Answer]:
        return self._egress.attempt(request, attempt, self._permit)
