"""The error tree. Every error that leaves a room of RCO is one of these.

::

    RcoError                        has a stable ``code`` and says the cure
    ├── ConfigInvalid               settings, with file, line and key
    ├── Refused                     a request we will not serve; carries a ``Reason`` and maps to a status
    ├── NotFound                    the thing named does not exist
    │   ├── PayloadErased           its namespace's key was erased, and its payload with it
    │   └── PayloadLocked           its namespace's key does not open here
    ├── Conflict                    the thing named exists and says otherwise
    ├── Forbidden                   the principal may not do this
    ├── Overloaded                  a bounded queue is full; try again after ``retry_after_s``
    ├── Unreachable                 a client cannot reach the service
    ├── BrokerAway                  a broker does not answer, or not now
    ├── BrokerRefused               a broker will never take this message
    ├── StoreError                  the keeper could not do its work
    │   ├── ObjectsAway             the object store gives no answer, or takes nothing
    │   ├── StoreLocked             another process owns this database
    │   ├── Fenced                  a newer owner took over; this one must stop
    │   └── SchemaOutdated          migrations are missing, or the schema is newer than the code
    ├── WorkflowError               what an author's code meets
    │   ├── Misuse                  the workflow did what cannot be replayed; says what to call instead
    │   ├── StepFailed              a step used up its attempts
    │   │   ├── CallFailed          a governed call used up its attempts, or got an answer that says no
    │   │   └── CallRefused         egress would not let the call leave
    │   ├── ChildFailed             a child run closed other than completed
    │   ├── TimedOut                a declared time ran out
    │   └── CodeChanged             replay met code that no longer asks for what was recorded
    ├── ExpressionFailed            an expression met a value it cannot work on
    └── EvidenceBroken              an audit chain does not verify

Control flow that no ``except Exception`` may eat derives from ``BaseException``: ``Cancelled`` (the run is being
cancelled; compensations will run) and ``Evicted`` (the run leaves memory and will be replayed later).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

__all__ = [
    "BrokerAway",
    "BrokerRefused",
    "CallFailed",
    "CallRefused",
    "Cancelled",
    "ChildFailed",
    "CodeChanged",
    "ConfigInvalid",
    "Conflict",
    "Evicted",
    "EvidenceBroken",
    "Fenced",
    "Forbidden",
    "Misuse",
    "NotFound",
    "ObjectsAway",
    "Overloaded",
    "PayloadErased",
    "PayloadLocked",
    "RcoError",
    "Reason",
    "Refused",
    "SchemaOutdated",
    "StepFailed",
    "StoreError",
    "StoreLocked",
    "TimedOut",
    "Unreachable",
    "WorkflowError",
]


class Reason(Enum):
    """Why an edge refused a request: a closed set. Adding one is a minor change, changing one is breaking."""

    UNAUTH = ("UNAUTH", 401)
    EXPIRED_TOKEN = ("EXPIRED_TOKEN", 401)
    SCOPE_MISMATCH = ("SCOPE_MISMATCH", 403)
    POLICY_BLOCKED = ("POLICY_BLOCKED", 403)
    BAD_ORIGIN = ("BAD_ORIGIN", 400)
    MALFORMED = ("MALFORMED", 400)
    DECOMP_LIMIT = ("DECOMP_LIMIT", 400)
    BODY_LIMIT = ("BODY_LIMIT", 413)
    RATE_LIMIT = ("RATE_LIMIT", 429)
    BACKPRESSURE = ("BACKPRESSURE", 429)
    DOWNSTREAM_UNAVAILABLE = ("DOWNSTREAM_UNAVAILABLE", 503)
    NOT_FOUND = ("NOT_FOUND", 404)
    ERASED = ("ERASED", 410)
    METHOD = ("METHOD", 405)
    TIMEOUT = ("TIMEOUT", 408)
    CONFLICT = ("CONFLICT", 409)
    MEDIA_TYPE = ("MEDIA_TYPE", 415)
    HEADER_LIMIT = ("HEADER_LIMIT", 431)
    INTERNAL = ("INTERNAL", 500)

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status


class RcoError(Exception):
    """Something went wrong in RCO."""

    code = "rco_error"

    def __init__(self, message: str = "", *, cure: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.cure = cure
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.cure}".strip()


class ConfigInvalid(RcoError):
    """The configuration cannot be used."""

    code = "config_invalid"

    def __init__(self, message: str, *, cure: str = "", file: str = "", line: int = 0, key: str = "") -> None:
        self.file, self.line, self.key = file, line, key
        where = ":".join(str(part) for part in (file, line or "") if part)
        super().__init__(": ".join(part for part in (where, key, message) if part), cure=cure)


class Refused(RcoError):
    """The request was refused.

    ``detail`` is for the audit and the log (``sig_missing``, ``ts_stale``, ...); the caller sees only ``reason``
    and one opaque sentence. ``status`` overrides the reason's own where a provider insists on it.
    """

    code = "refused"

    def __init__(
        self,
        reason: Reason,
        detail: str,
        message: str = "",
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.reason, self.detail = reason, detail
        self.status = status if status is not None else reason.status
        self.retry_after_s = retry_after_s
        super().__init__(message or f"refused: {reason.word} ({detail})")


class NotFound(RcoError):
    """Not found."""

    code = "not_found"


class PayloadErased(NotFound):
    """The payload was erased with its namespace's key."""

    code = "payload_erased"
    records = 0
    """Of a run's journal: how many records it has, whatever is in them."""


class PayloadLocked(NotFound):
    """The payload cannot be read here: its namespace's key does not open."""

    code = "payload_locked"
    records = 0


class Conflict(RcoError):
    """The request contradicts what is already recorded."""

    code = "conflict"


class Forbidden(RcoError):
    """The principal may not do this."""

    code = "forbidden"


class Overloaded(RcoError):
    """A bounded queue is full."""

    code = "overloaded"

    def __init__(self, message: str, *, cure: str = "Try again later.", retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, cure=cure)


class Unreachable(RcoError):
    """The service cannot be reached."""

    code = "unreachable"


class BrokerAway(RcoError):
    """A broker does not answer, or not now. What was asked of it may have been done; ask again."""

    code = "broker_away"

    def __init__(self, message: str, *, cure: str = "It is tried again; look at the broker and its address.") -> None:
        super().__init__(message, cure=cure)


class BrokerRefused(RcoError):
    """A broker will never take this message, or this command."""

    code = "broker_refused"


class StoreError(RcoError):
    """The store could not do its work."""

    code = "store_error"


class ObjectsAway(StoreError):
    """The object store gives no answer, or takes nothing."""

    code = "objects_away"


class StoreLocked(StoreError):
    """Another process owns this database."""

    code = "store_locked"


class Fenced(StoreError):
    """A newer owner has taken over; nothing more may be written from here."""

    code = "fenced"


class SchemaOutdated(StoreError):
    """The database schema and the code do not fit."""

    code = "schema_outdated"


class WorkflowError(RcoError):
    """A workflow met a problem."""

    code = "workflow_error"


class Misuse(WorkflowError):
    """The workflow did something that cannot be replayed."""

    code = "misuse"


class StepFailed(WorkflowError):
    """A step used up its attempts.

    ``kind`` is the name of the original error, ``data`` what it carried; both come from the journal, so a replay
    sees the same values.
    """

    code = "step_failed"

    def __init__(self, message: str, *, kind: str = "", step: str = "", attempts: int = 1, data: Any = None) -> None:
        self.kind, self.step, self.attempts, self.data = kind, step, attempts, data
        super().__init__(message)


class CallFailed(StepFailed):
    """A governed call failed. ``status`` is the HTTP status of the last answer, or 0 when there was none."""

    code = "call_failed"

    @property
    def status(self) -> int:
        return int(self.data.get("status", 0)) if isinstance(self.data, dict) else 0


class CallRefused(StepFailed):
    """Egress did not let the call leave."""

    code = "call_refused"


class ChildFailed(WorkflowError):
    """A child run did not complete. ``outcome`` is ``failed``, ``cancelled`` or ``terminated``."""

    code = "child_failed"

    def __init__(self, message: str, *, run_id: str = "", outcome: str = "failed", data: Any = None) -> None:
        self.run_id, self.outcome, self.data = run_id, outcome, data
        super().__init__(message)


class TimedOut(WorkflowError):
    """A declared time ran out."""

    code = "timed_out"


class CodeChanged(WorkflowError):
    """Replay met code that does not ask for what was recorded. ``diff`` names both sides."""

    code = "code_changed"

    def __init__(self, message: str, *, diff: dict[str, Any]) -> None:
        self.diff = diff
        super().__init__(message)


class ExpressionFailed(RcoError):
    """An expression met a value it cannot work on. The message holds the expression, never the value."""

    code = "expression_failed"


class EvidenceBroken(RcoError):
    """The audit chain does not verify."""

    code = "evidence_broken"


class Cancelled(BaseException):
    """The run is being cancelled. Raised at the workflow's next await; compensations run afterwards."""


class Evicted(BaseException):
    """The run leaves memory. It will be replayed from its journal; nothing may be awaited meanwhile."""
