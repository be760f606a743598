"""Errors as answers: one envelope, the closed set of reasons, and nothing of the inside in it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from rco.errors import (
    ConfigInvalid,
    Conflict,
    Forbidden,
    NotFound,
    ObjectsAway,
    Overloaded,
    RcoError,
    Reason,
    Refused,
    StoreError,
    WorkflowError,
)
from rco.model.wire import Problem
from rco.operations.desk import Desk

__all__ = ["Fault", "answer", "fault_of"]

_BY_STATUS = {
    reason.status: reason
    for reason in (
        Reason.UNAUTH,
        Reason.SCOPE_MISMATCH,
        Reason.MALFORMED,
        Reason.NOT_FOUND,
        Reason.METHOD,
        Reason.TIMEOUT,
        Reason.CONFLICT,
        Reason.BODY_LIMIT,
        Reason.MEDIA_TYPE,
        Reason.BACKPRESSURE,
    )
}
_NAMES = {"run_state": "state", "timeout_s": "timeout", "data": "body"}
"""Parameters whose names in the handlers are not those of the request."""
_OPAQUE = "The service could not do this. The log has more under the corr_id."


class Fault(msgspec.Struct, frozen=True):
    """What is told of an error. ``detail`` is for the log."""

    status: int
    reason: Reason
    message: str
    detail: str = ""
    retry_after_s: float | None = None


def fault_of(error: BaseException) -> Fault:
    """The answer that ``error`` becomes. What is not one of ours becomes INTERNAL, with nothing of it shown."""
    match error:
        case Refused():
            said = error.message if not error.message.startswith("refused:") else "The request was refused."
            return Fault(error.status, error.reason, said, error.detail, error.retry_after_s)
        case NotFound():
            return Fault(404, Reason.NOT_FOUND, str(error))
        case Conflict():
            return Fault(409, Reason.CONFLICT, str(error))
        case Forbidden():
            return Fault(403, Reason.SCOPE_MISMATCH, str(error))
        case Overloaded():
            return Fault(429, Reason.BACKPRESSURE, str(error), retry_after_s=error.retry_after_s)
        case ObjectsAway():
            # The place and why stand in the log: they are no business of the caller's.
            message = "The object store is away: a payload of this size cannot be kept or read now."
            return Fault(503, Reason.DOWNSTREAM_UNAVAILABLE, message, error.code, retry_after_s=1.0)
        case StoreError():
            message = "The store is away."
            return Fault(503, Reason.DOWNSTREAM_UNAVAILABLE, message, error.code, retry_after_s=1.0)
        case WorkflowError():
            return Fault(400, Reason.MALFORMED, str(error), error.code)
        case ConfigInvalid() | RcoError():
            return Fault(500, Reason.INTERNAL, _OPAQUE, error.code)
        case ValidationException():
            return Fault(400, Reason.MALFORMED, _invalid(error))
        case HTTPException():
            reason = _BY_STATUS.get(
                error.status_code, Reason.INTERNAL if error.status_code >= 500 else Reason.MALFORMED
            )
            message = _OPAQUE if error.status_code >= 500 else _said(reason, error.detail)
            return Fault(error.status_code, reason, message)
        case RecursionError():
            return Fault(400, Reason.MALFORMED, "The body is nested too deeply.")
        case _:
            return Fault(500, Reason.INTERNAL, _OPAQUE, type(error).__name__)


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The exception handler of the control API."""
    fault = fault_of(error)
    corr_id = str(request.scope.get("corr_id", ""))
    if fault.status >= 500:
        desk: Desk = request.app.state["desk"]()
        desk.log.error("api.failed", corr_id=corr_id, code=fault.reason.word, status=fault.status, error=error)
    headers = {}
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(fault.retry_after_s)))
    body = Problem(error=fault.message, reason=fault.reason.word, corr_id=corr_id)
    return Response(body, status_code=fault.status, headers=headers)


def _invalid(error: ValidationException) -> str:
    extra = error.extra if isinstance(error.extra, list) else []
    said = [
        f"{_NAMES.get(key := item.get('key', 'body'), key)}: {_why(item)}" for item in extra if isinstance(item, dict)
    ]
    return "; ".join(said[:5]) or "The request does not fit its description in /v1/openapi.json."


def _why(item: dict[str, Any]) -> str:
    message = str(item.get("message", ""))
    return "is missing" if message == repr(item.get("key")) else message


def _said(reason: Reason, detail: str) -> str:
    match reason:
        case Reason.NOT_FOUND:
            return "There is no such route; /v1/openapi.json lists those there are."
        case Reason.METHOD:
            return "This route does not know that method."
        case Reason.BODY_LIMIT:
            return "The body is too large."
        case _:
            return detail
