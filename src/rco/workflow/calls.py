"""What the authors' API needs of whoever makes governed calls. Egress stands behind it; the wiring joins them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from rco.model.effect import Answer, Attempt, RetryPolicy
from rco.model.target import CallRequest, Repeat, TargetProbe

__all__ = ["Caller", "CallerOf"]


class Caller(Protocol):
    """Makes one attempt of a governed request, and knows the rules of its target."""

    def repeat_class(self, request: CallRequest) -> Repeat: ...

    def retry_policy(self, request: CallRequest) -> RetryPolicy: ...

    def fallback(self, request: CallRequest) -> dict[str, Any] | None: ...

    def probe(self, request: CallRequest) -> TargetProbe | None:
        """How the target itself says that it is asked what became of this call, when it may not be repeated."""
        ...

    def attempt(self, request: CallRequest, attempt: Attempt) -> Awaitable[Answer]: ...


CallerOf = Callable[[bytes, dict[str, Any]], Caller]
"""Who calls for the run of this identity that began with this START body."""
