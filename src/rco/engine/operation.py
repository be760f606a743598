"""Operations: what a workflow awaits. Each primitive yields one, with the step key that its caller chose.

An operation is data and what it has learned from the journal so far. Who arms it (starts the attempt, sets the timer)
is not its affair. The key names it within the run; the fingerprint covers its kind and arguments, so that replay can
tell whether the code still asks for the same thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

from rco.errors import (
    CallFailed,
    CallRefused,
    ChildFailed,
    StepFailed,
    TimedOut,
    WorkflowError,
)
from rco.model.effect import Attempt, RetryPolicy
from rco.model.journal import Kind, Record
from rco.model.payload import Kept
from rco.model.target import Repeat

__all__ = ["ChildRun", "Effect", "Emit", "Fork", "Mark", "Operation", "Timer", "Wait"]

T = TypeVar("T")
_FAILURES: dict[str, type[StepFailed]] = {"call_failed": CallFailed, "call_refused": CallRefused}


class Operation(Generic[T]):
    """Something a fiber waits for. ``outside``: it touches the world, so all before it must be committed first."""

    __slots__ = ("convert", "fiber", "fp", "key")
    outside = False
    declinable = False
    """A replay may resolve it to ``False`` when the journal goes on without it."""

    def __init__(self, key: str, fp: bytes) -> None:
        self.key = key
        self.fp = fp
        self.fiber: Any = None
        self.convert: Callable[[Any], T] | None = None

    def __await__(self) -> Generator[Operation[T], Any, T]:
        value: T = yield self
        return value

    def note(self, record: Record) -> None:
        """Learn from a record that does not resolve it. Called in live and replay alike."""

    def resolve(self, record: Record) -> tuple[Any, BaseException | None]:  # noqa: ARG002
        """The value or the error that the fiber goes on with."""
        return None, None

    def describe(self) -> str:
        """One phrase for timelines and diffs."""
        return type(self).__name__.lower()


class Effect(Operation[T]):
    """An effect outside the journal, tried by ``perform`` until its policy is used up."""

    __slots__ = (
        "doubt",
        "due_us",
        "fallback",
        "intent",
        "name",
        "perform",
        "policy",
        "repeat",
        "timeout_s",
        "tried",
        "written",
    )
    outside = True

    def __init__(
        self,
        key: str,
        fp: bytes,
        name: str,
        perform: Callable[[Attempt], Awaitable[Any]],
        *,
        repeat: Repeat,
        policy: RetryPolicy,
        timeout_s: float | None = None,
        fallback: Callable[[], Any] | None = None,
    ) -> None:
        # The hottest constructor there is: the fields of the base are set here.
        self.key = key
        self.fp = fp
        self.fiber = None
        self.convert = None
        self.name = name
        self.perform = perform
        self.repeat = repeat
        self.policy = policy
        self.timeout_s = timeout_s
        self.fallback = fallback
        self.tried = 0
        self.due_us = 0
        self.intent = False
        """An intent is on record whose end is not."""
        self.written = False
        """That intent was written by this owner, for the attempt it is about to make."""
        self.doubt = False

    def note(self, record: Record) -> None:
        if record.kind == Kind.STEP_RETRY:
            self.tried, self.due_us = record.body[0], record.body[1]
            self.intent = False
        elif record.kind == Kind.STEP_INTENT:
            self.intent = True
        elif record.kind == Kind.IN_DOUBT:
            self.doubt = True
        elif record.kind == Kind.SETTLED:
            self.doubt = self.intent = False

    def resolve(self, record: Record) -> tuple[Any, BaseException | None]:
        ok, value, attempts = record.body
        if ok:
            return (value if self.convert is None else self.convert(value)), None
        return None, failure(value, self.name, attempts)

    def describe(self) -> str:
        return f"step {self.name}"


def failure(data: dict[str, Any], step: str, attempts: int) -> WorkflowError:
    """The error a workflow meets, made from what the journal holds, so that live and replay see the same."""
    code = data.get("code", "step_failed")
    message = data.get("message", "")
    if code == "timed_out":
        return TimedOut(f"{step}: {message}")
    kind = _FAILURES.get(code, StepFailed)
    return kind(f"{step}: {message}", kind=data.get("kind", ""), step=step, attempts=attempts, data=data.get("data"))


class Timer(Operation[None]):
    """Wait for a time. ``due_us`` is known once its TIMER_SET record is."""

    __slots__ = ("due_us", "seconds")

    def __init__(self, key: str, fp: bytes, seconds: float) -> None:
        super().__init__(key, fp)
        self.seconds = seconds
        self.due_us: int | None = None

    def note(self, record: Record) -> None:
        self.due_us = record.body

    def describe(self) -> str:
        return f"sleep {self.seconds:g} s"


class Wait(Operation[T]):
    """Wait for a message: a signal by name, or an event by type and subject. ``None`` as ``signal`` means an event."""

    __slots__ = ("due_us", "noted", "signal", "since_us", "subject", "timeout_s", "type", "where")

    def __init__(
        self,
        key: str,
        fp: bytes,
        *,
        signal: str | None = None,
        type: str = "",
        subject: str | None = None,
        where: Callable[[Any], bool] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        super().__init__(key, fp)
        self.signal = signal
        self.type, self.subject, self.where = type, subject, where
        self.timeout_s = timeout_s
        self.since_us = 0
        self.due_us: int | None = None
        self.noted = False

    def note(self, record: Record) -> None:
        self.noted = True
        self.due_us = record.body.get("due_us")

    def resolve(self, record: Record) -> tuple[Any, BaseException | None]:
        if record.kind == Kind.TIMER_FIRED:
            return None, TimedOut(
                f"{self.describe()}: nothing came within {self.timeout_s:g} s."
                if self.timeout_s is not None
                else f"{self.describe()}: nothing came in time."
            )
        value = record.body[2]
        return (value if self.convert is None else self.convert(value)), None

    def describe(self) -> str:
        if self.signal is not None:
            return f"wait for signal {self.signal!r}"
        return f"wait for event {self.type!r}" + (f" about {self.subject!r}" if self.subject is not None else "")


class ChildRun(Operation[T]):
    """Open a child run and wait until it closes."""

    __slots__ = ("input", "kept", "run_id", "workflow")

    def __init__(self, key: str, fp: bytes, workflow: str, input: Any) -> None:
        super().__init__(key, fp)
        self.kept: Kept | None = None
        """Where its input is kept, once that is known and it is too large for the journal."""
        self.workflow = workflow
        self.input = input
        self.run_id: bytes | None = None

    def note(self, record: Record) -> None:
        self.run_id = record.body[0]

    def resolve(self, record: Record) -> tuple[Any, BaseException | None]:
        outcome, value = record.body[2]
        if outcome == "completed":
            return (value if self.convert is None else self.convert(value)), None
        message = value.get("message", "") if isinstance(value, dict) else str(value)
        text = f"child {self.workflow!r} closed as {outcome}: {message}"
        return None, ChildFailed(text, run_id=record.body[0], outcome=outcome, data=value)

    def describe(self) -> str:
        return f"child {self.workflow}"


class Emit(Operation[str]):
    """Publish an event with the run's own commit. Resolves to the event's id."""

    __slots__ = ("data", "event_id", "kept", "subject", "type")

    def __init__(self, key: str, fp: bytes, type: str, data: Any, subject: str | None, event_id: str | None) -> None:
        super().__init__(key, fp)
        self.kept: Kept | None = None
        """Where its data are kept, once that is known and they are too large for a row."""
        self.type, self.data, self.subject, self.event_id = type, data, subject, event_id

    def resolve(self, record: Record) -> tuple[Any, BaseException | None]:
        return record.body[0], None

    def describe(self) -> str:
        return f"emit {self.type}"


class Mark(Operation[None]):
    """Write a record that says something about the run: a published state, the begin of compensation."""

    __slots__ = ("body", "kept", "kind")

    def __init__(self, key: str, fp: bytes, kind: Kind, body: Any) -> None:
        super().__init__(key, fp)
        self.kept: Kept | None = None
        """Where a state's value is kept, once that is known and it is too large for the journal."""
        self.kind, self.body = kind, body

    def describe(self) -> str:
        return self.kind.name.lower()


class Fork(Operation[Any]):
    """Run branches side by side, each in a scope of its own. Leaves no record: what its branches do does.

    ``first`` false: all values, in order; the first error cancels the others and is raised. ``first`` true: the index
    and value of the branch that ends first; the others are cancelled. Either way nothing of it runs on afterwards.
    """

    __slots__ = (
        "branches",
        "closing",
        "failed",
        "fibers",
        "first",
        "limit",
        "remaining",
        "results",
        "started",
        "winner",
    )

    def __init__(
        self, key: str, branches: Sequence[Callable[[], Any]], *, first: bool, limit: int | None = None
    ) -> None:
        super().__init__(key, b"")
        self.branches = branches
        self.first = first
        self.limit = limit
        self.fibers: list[Any] = []
        self.results: list[Any] = [None] * len(branches)
        self.remaining = len(branches)
        self.started = 0
        self.failed: BaseException | None = None
        self.winner: int | None = None
        self.closing = False
