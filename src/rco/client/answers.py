"""Answers of the service as values, and its envelope as the errors of ``rco.errors``."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from rco.errors import Conflict, Forbidden, NotFound, Overloaded, RcoError, Reason, Refused, Unreachable
from rco.model.wire import Problem

__all__ = ["decode", "error_of"]

T = TypeVar("T")
_REASONS = {reason.word: reason for reason in Reason}


def decode(body: bytes, kind: type[T]) -> T:
    """``body`` as ``kind``. Fields that this version does not know are ignored. Raises ``Unreachable`` for a body that
    no such service sends."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise Unreachable(
            "The answer is not one of this service.", cure="Check the URL: it may be another's."
        ) from None


def error_of(status: int, body: bytes, retry_after: str | None) -> RcoError:
    """The error behind an answer that is not 2xx."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, RecursionError):
        return Unreachable(f"The answer is {status} and not from this service.", cure="Check the URL.")
    reason = _REASONS.get(problem.reason, Reason.INTERNAL)
    wait_s = float(retry_after) if retry_after and retry_after.isdecimal() else None
    match reason:
        case Reason.NOT_FOUND:
            return NotFound(problem.error)
        case Reason.CONFLICT:
            return Conflict(problem.error)
        case Reason.SCOPE_MISMATCH:
            return Forbidden(problem.error)
        case Reason.BACKPRESSURE | Reason.RATE_LIMIT:
            return Overloaded(problem.error, retry_after_s=wait_s or 1.0)
        case Reason.DOWNSTREAM_UNAVAILABLE:
            return Unreachable(problem.error, cure="Try again later.")
        case _:
            said = f"{problem.error} ({reason.word}, corr_id {problem.corr_id})"
            return Refused(reason, "answer", said, status=status, retry_after_s=wait_s)
