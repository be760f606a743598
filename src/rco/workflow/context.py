"""The context: everything a workflow may ask for. Each method gives an operation to await.

Step keys are filled in here from scope, name and ordinal: ``charge``, ``charge#1``, ``gather/0/charge``. Parallel
branches have scopes of their own, so they never race for numbers.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar, overload

import msgspec

from rco.engine.attributes import SetAttribute
from rco.engine.machine import Machine
from rco.engine.operation import ChildRun, Effect, Emit, Fork, Mark, Operation, Timer, Wait
from rco.engine.patching import Patched
from rco.engine.probing import probed
from rco.errors import Evicted, Misuse, NotFound
from rco.expr.jq import Expression
from rco.kit.canonical import fingerprint
from rco.kit.clock import MICROS
from rco.kit.digest import digest
from rco.kit.ids import id_text
from rco.model.attribute import ATTRIBUTES_MAX
from rco.model.attribute import attribute as attribute_of
from rco.model.effect import Attempt, RetryPolicy
from rco.model.journal import Kind
from rco.model.target import CallRequest, CallResult, Repeat
from rco.workflow.body import Contents, address_in, no_contents, with_body
from rco.workflow.calls import Caller
from rco.workflow.conversion import plain, returns
from rco.workflow.declared_probe import declared_probe
from rco.workflow.probe import CallProbe, Probe
from rco.workflow.transactions import Isolation, Transactions, no_databases

__all__ = ["Context", "Named", "attempt"]

T = TypeVar("T")
U = TypeVar("U")
_attempt: contextvars.ContextVar[Attempt] = contextvars.ContextVar("rco_attempt")
STEP_POLICY = RetryPolicy()
ONCE_POLICY = RetryPolicy(1)


def attempt() -> Attempt:
    """Inside a step: the attempt being made, with its number and its idempotency key. ``Misuse`` elsewhere."""
    try:
        return _attempt.get()
    except LookupError:
        raise Misuse(
            "attempt() was called outside of a step.", cure="Call it in a function given to ctx.step."
        ) from None


class Named(Protocol):
    """A workflow as ``ctx.child`` knows it."""

    name: str

    def output_type(self) -> Any: ...


class Context:
    """What a workflow is given. One per run; made anew for every replay."""

    __slots__ = ("_caller", "_contents", "_corr_id", "_executor", "_machine", "_transactions")

    def __init__(
        self,
        machine: Machine,
        corr_id: str,
        caller: Caller,
        executor: Executor,
        transactions: Transactions = no_databases,
        contents: Contents = no_contents,
    ) -> None:
        self._machine = machine
        self._corr_id = corr_id
        self._caller = caller
        self._executor = executor
        self._transactions = transactions
        self._contents = contents

    # -- who and when ----------------------------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        """The run's identity, as the API shows it."""
        return id_text(self._machine.run_id)

    @property
    def corr_id(self) -> str:
        """The correlation id that came with the event or the start."""
        return self._corr_id

    def now(self) -> datetime:
        """The time, in UTC: that of the last thing this run learned. The same in every replay."""
        return datetime.fromtimestamp(self._machine.now_us / MICROS, UTC)

    def random(self) -> float:
        """A number in [0, 1), another one each time, the same in every replay."""
        return int.from_bytes(self._draw("random")[:7], "big") / (1 << 56)

    def uuid(self) -> uuid.UUID:
        """A UUID, another one each time, the same in every replay (RFC 9562 version 8)."""
        number = int.from_bytes(self._draw("uuid")[:16], "big")
        number = number & ~(0xF << 76) | 8 << 76
        return uuid.UUID(int=number & ~(0x3 << 62) | 2 << 62)

    def _draw(self, what: str) -> bytes:
        return digest(self._machine.run_id + self._key(what).encode())

    def _key(self, name: str) -> str:
        machine = self._machine
        if machine.evicted:
            raise Evicted
        fiber = machine.fiber
        if fiber is None:
            raise Misuse("ctx was used outside of its workflow.", cure="Use ctx only in the workflow it was given to.")
        counts = fiber.counts
        count = counts.get(name)
        if count is None:
            if "/" in name or "#" in name:
                raise Misuse(f"step name {name!r} holds / or #.", cure="Choose a name without them.")
            counts[name] = 1
            return fiber.scope + name
        counts[name] = count + 1
        return f"{fiber.scope}{name}#{count}"

    # -- effects ---------------------------------------------------------------------------------------------------

    @overload
    def step(
        self,
        function: Callable[..., Awaitable[T]],
        *arguments: Any,
        name: str | None = ...,
        attempts: int | None = ...,
        policy: RetryPolicy | None = ...,
        timeout_s: float | None = ...,
        once: bool = ...,
        probe: Probe | None = ...,
    ) -> Operation[T]: ...

    @overload
    def step(
        self,
        function: Callable[..., T],
        *arguments: Any,
        name: str | None = ...,
        attempts: int | None = ...,
        policy: RetryPolicy | None = ...,
        timeout_s: float | None = ...,
        once: bool = ...,
        probe: Probe | None = ...,
    ) -> Operation[T]: ...

    def step(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        name: str | None = None,
        attempts: int | None = None,
        policy: RetryPolicy | None = None,
        timeout_s: float | None = None,
        once: bool = False,
        probe: Probe | None = None,
    ) -> Operation[Any]:
        """Run ``function(*arguments)`` and keep its result: once it is recorded it never runs again.

        The function may do anything, on the event loop when it is async and on a thread otherwise. It may run more
        than once when it fails (``attempts``, ``policy``) or when the service stops meanwhile; ``rco.workflow.attempt``
        gives it an idempotency key. ``once=True``: it is never repeated silently: after a crash or a timeout the run is
        *in doubt*, and when it raises that is its end, unless ``attempts`` says that raising means nothing happened.
        ``timeout_s`` bounds one attempt and really cancels it. ``probe`` says how to ask whether it was done when it is
        in doubt; without one a person settles. Raises ``StepFailed`` or ``TimedOut`` when no attempt is left.
        """
        own, is_async, convert = _known(function)
        label = name or own
        key = self._key(label)
        if policy is None:
            policy = RetryPolicy(attempts) if attempts is not None else ONCE_POLICY if once else STEP_POLICY
        try:
            fp = fingerprint("step", (label, arguments))
        except TypeError as problem:
            raise _unplain(label, problem) from None
        perform: Callable[[Attempt], Awaitable[Any]]
        if is_async:
            perform = partial(_perform, function, arguments)
        else:
            perform = partial(self._perform_on_thread, function, arguments)
        op: Effect[Any] = Effect(
            key,
            fp,
            label,
            perform,
            repeat=Repeat.NEVER if once else Repeat.KEYED,
            policy=policy,
            timeout_s=timeout_s,
        )
        op.convert = convert
        return op if probe is None else probed(op, probe.probing(_enter))

    def _perform_on_thread(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], attempt: Attempt
    ) -> Awaitable[Any]:
        _attempt.set(attempt)
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(self._executor, partial(context.run, function, *arguments))

    def transaction(
        self,
        function: Callable[..., Awaitable[T]],
        *arguments: Any,
        database: str,
        name: str | None = None,
        attempts: int | None = None,
        policy: RetryPolicy | None = None,
        timeout_s: float | None = None,
        isolation: Isolation | None = None,
    ) -> Operation[T]:
        """Run ``await function(tx, *arguments)`` in one transaction of a declared PostgreSQL ``database``.

        What it writes through ``tx`` and its result commit together there, exactly once: after a crash, or when two
        nodes try at the same time, the recorded result is given and nothing is written twice. When it raises, all of
        it is rolled back, and it is tried again as ``attempts`` or ``policy`` say; ``timeout_s`` bounds one try. Only
        what goes through ``tx`` is held by this: other effects in it may happen again. Raises ``StepFailed`` or
        ``TimedOut`` when no attempt is left; then nothing was written.
        """
        own, is_async, convert = _known(function)
        label = name or own
        if not is_async:
            raise Misuse(f"{label}: a transaction's function is async.", cure="Write: async def name(tx, ...): ...")
        key = self._key(label)
        if policy is None:
            policy = STEP_POLICY if attempts is None else RetryPolicy(attempts)
        try:
            fp = fingerprint("transaction", (label, database, arguments))
        except TypeError as problem:
            raise _unplain(label, problem) from None
        op: Effect[Any] = Effect(
            key,
            fp,
            label,
            partial(_transact, self._transactions, database, function, arguments, fp, isolation, timeout_s),
            repeat=Repeat.KEYED,
            policy=policy,
        )
        op.convert = convert
        return op

    def read(
        self,
        function: Callable[..., Awaitable[T]],
        reference: Any,
        *arguments: Any,
        name: str | None = None,
        attempts: int | None = None,
        policy: RetryPolicy | None = None,
        timeout_s: float | None = None,
    ) -> Operation[T]:
        """Run ``await function(body, *arguments)`` and keep its result, as ``ctx.step`` does, with the body that
        ``reference`` stands for: the data of an event whose body was too large to hold, or an address of content.

        ``body`` (``rco.workflow.Body``) gives it in pieces, or as a whole within a limit; it stays outside of the run's
        history, which holds the result alone. Raises ``StepFailed`` or ``TimedOut`` when no attempt is left, and
        ``Misuse`` for what is no reference.
        """
        own, is_async, convert = _known(function)
        label = name or own
        if not is_async:
            raise Misuse(f"{label}: a function that reads is async.", cure="Write: async def name(body, ...): ...")
        address = address_in(reference)
        key = self._key(label)
        if policy is None:
            policy = STEP_POLICY if attempts is None else RetryPolicy(attempts)
        try:
            fp = fingerprint("read", (label, address, arguments))
        except TypeError as problem:
            raise _unplain(label, problem) from None
        perform = partial(_perform, with_body, (self._contents, address, function, arguments))
        op: Effect[Any] = Effect(key, fp, label, perform, repeat=Repeat.KEYED, policy=policy, timeout_s=timeout_s)
        op.convert = convert
        return op

    def call(
        self,
        target: str,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        name: str | None = None,
        timeout_s: float | None = None,
        attempts: int | None = None,
        probe: CallProbe | None = None,
    ) -> Operation[CallResult]:
        """Make a governed call to a declared target, under its rules, with its retries.

        Requests that the other side can recognise carry the same ``Idempotency-Key`` in every attempt, over crashes
        too. One that may not be repeated and whose answer is lost makes the run *in doubt*, which ``probe`` says how to
        settle, or else a probe that the target declares. Raises ``CallFailed`` when the target says no or no attempt is
        left and there is no fallback, ``CallRefused`` when it may not leave.
        """
        label = name or f"{method} {target}"
        key = self._key(label)
        try:
            body = plain(json)
            fp = fingerprint("call", (target, method, path, body, query))
        except TypeError as problem:
            raise _unplain(label, problem) from None
        request = CallRequest(
            target=target,
            method=method,
            path=path,
            json=body,
            query=query or {},
            headers=headers or {},
            timeout_s=timeout_s,
        )
        caller = self._caller
        try:
            repeat, policy = caller.repeat_class(request), caller.retry_policy(request)
        except NotFound:
            # The attempt will be refused, with evidence; replay must not depend on the configuration.
            repeat, policy = Repeat.SAFE, STEP_POLICY
        if attempts is not None:
            policy = RetryPolicy(attempts, policy.backoff)
        op: Effect[CallResult] = Effect(
            key,
            fp,
            label,
            partial(caller.attempt, request),
            repeat=repeat,
            policy=policy,
            fallback=partial(caller.fallback, request),
        )
        op.convert = _call_result
        if probe is not None:
            return probed(op, probe.probing(caller, target))
        if repeat is Repeat.NEVER:
            declared = caller.probe(request)
            if declared is not None:
                return probed(op, declared_probe(declared, caller, request))
        return op

    def compensate(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> None:
        """If this run fails or is cancelled, await ``function(ctx, *arguments)``; the last registered runs first.

        Register before the effect that it undoes, and let it be harmless when that effect never happened. Runs to its
        end whatever else comes; its failure is reported with the outcome and keeps no other from running.
        """
        name = getattr(function, "__name__", "compensation")
        self._machine.undo.append((name, partial(function, self, *arguments)))

    # -- time and messages -----------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> Operation[None]:
        """Wait. The due time is durable; a long sleep costs no memory. Never wakes early."""
        if not 0 <= seconds <= 10 * 366 * 86400:
            raise Misuse(f"sleep of {seconds!r} s.", cure="Give seconds between 0 and ten years.")
        return Timer(self._key("sleep"), fingerprint("sleep", seconds), float(seconds))

    def sleep_until(self, moment: datetime) -> Operation[None]:
        """Wait until ``moment``, which must have a time zone. Returns at once when it has passed."""
        if moment.tzinfo is None:
            raise Misuse(f"sleep until {moment}, which has no time zone.", cure="Use datetime(..., tzinfo=UTC).")
        seconds = max(0.0, moment.timestamp() - self._machine.now_us / MICROS)
        return Timer(self._key("sleep"), fingerprint("sleep until", moment.isoformat()), seconds)

    def wait_for(
        self, type: str, *, subject: str | None = None, where: str | None = None, timeout_s: float | None = None
    ) -> Operation[dict[str, Any]]:
        """Wait for an event of ``type``, about ``subject`` when that is given, for which the jq expression ``where``
        holds. With a subject, events received since this run was opened count too, each once. Raises ``TimedOut``."""
        op: Wait[dict[str, Any]] = Wait(
            self._key(f"wait {type}".replace("/", "_")),
            fingerprint("wait event", (type, subject, where)),
            type=type,
            subject=subject,
            where=None if where is None else Expression.compile(where).truthy,
            timeout_s=timeout_s,
        )
        return op

    def signal(self, name: str, *, timeout_s: float | None = None) -> Operation[Any]:
        """Wait for the signal ``name`` and give its value. Signals sent before this are kept. Raises ``TimedOut``."""
        op: Wait[Any] = Wait(
            self._key(f"signal {name}"), fingerprint("wait signal", name), signal=name, timeout_s=timeout_s
        )
        return op

    # -- other runs and events -------------------------------------------------------------------------------------

    def child(self, workflow: Named | str, input: Any = None) -> Operation[Any]:
        """Run another workflow and give its result. Raises ``ChildFailed``. Cancelled together with this run."""
        name = workflow if isinstance(workflow, str) else workflow.name
        try:
            body = plain(input)
            fp = fingerprint("child", (name, body))
        except TypeError as problem:
            raise _unplain(f"child {name}", problem) from None
        return ChildRun(self._key(f"child {name}"), fp, name, body)

    def emit(self, type: str, data: Any, *, subject: str | None = None, event_id: str | None = None) -> Operation[str]:
        """Publish an event: it starts who subscribes and wakes who waits, in one commit with this run's own record.
        Gives the event's id."""
        try:
            body = plain(data)
            fp = fingerprint("emit", (type, body, subject))
        except TypeError as problem:
            raise _unplain(f"emit {type}", problem) from None
        return Emit(self._key(f"emit {type}".replace("/", "_")), fp, type, body, subject, event_id)

    def state(self, name: str, value: Any) -> Operation[None]:
        """Publish a value under ``name`` for those who look at this run."""
        try:
            body = plain(value)
            fp = fingerprint("state", (name, body))
        except TypeError as problem:
            raise _unplain(f"state {name}", problem) from None
        return Mark(self._key(f"state {name}"), fp, Kind.STATE, [name, body])

    def attribute(self, name: str, value: str | float | bool | datetime | None) -> Operation[None]:
        """Let this run be found by ``name``: a text, a number, true or false, or a time with its zone. A second value
        replaces the first, ``None`` takes it away. At most 32 names a run, texts up to 256 bytes; no secrets: whoever
        may list runs sees them."""
        try:
            said = attribute_of(name, value)
        except ValueError as problem:
            raise Misuse(f"{problem}.", cure="See docs/how-to/find-runs.md.") from None
        machine = self._machine
        known = machine.attributes
        if known is None:
            known = machine.attributes = set()
        known.add(name)
        if len(known) > ATTRIBUTES_MAX:
            raise Misuse(
                f"the run has more than {ATTRIBUTES_MAX} attributes.", cure="Keep the rest with ctx.state, or as data."
            )
        return SetAttribute(self._key(f"attribute {name}"), said)

    def patched(self, name: str) -> Patched:
        """Where this code was changed: await it, and go the new way when it says so.

        ``True`` for runs that come here for the first time; their journal says so from then on. ``False`` for runs that
        had passed this place in the old code. The same for one name in one run, however often it is asked. When no run
        of before is open any more, the old way and the question can go. Not awaited it raises ``Misuse``.
        """
        return Patched(self._machine, name, self._key(f"patch {name}"))

    # -- branches --------------------------------------------------------------------------------------------------

    def gather(self, *awaitables: Awaitable[Any]) -> Operation[list[Any]]:
        """Await all side by side; give their values in order. The first error cancels the others and is raised."""
        return Fork(self._key("gather"), [partial(_branch, one) for one in awaitables], first=False)

    def race(self, *awaitables: Awaitable[Any]) -> Operation[tuple[int, Any]]:
        """Await all side by side; give index and value of the one that ends first and cancel the others."""
        if not awaitables:
            raise Misuse("race of nothing.", cure="Give ctx.race at least one awaitable.")
        return Fork(self._key("race"), [partial(_branch, one) for one in awaitables], first=True)

    def map(
        self, function: Callable[[T], Awaitable[U]], items: Iterable[T], *, limit: int | None = None
    ) -> Operation[list[U]]:
        """``gather`` of ``function(item)`` for each item, at most ``limit`` at a time."""
        if limit is not None and limit < 1:
            raise Misuse(f"map with limit {limit}.", cure="Give a limit of at least 1, or none.")
        branches = [partial(_apply, function, item) for item in items]
        return Fork(self._key("map"), branches, first=False, limit=limit)


@functools.lru_cache(maxsize=4096)
def _known(function: Callable[..., Any]) -> tuple[str, bool, Callable[[Any], Any] | None]:
    """What is asked of a step's function each time: its name, whether it is async, how its result is converted."""
    name = getattr(function, "__name__", None) or "step"
    return name, inspect.iscoroutinefunction(function), returns(function)


def _transact(
    transactions: Transactions,
    database: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    fp: bytes,
    isolation: Isolation | None,
    timeout_s: float | None,
    attempt: Attempt,
) -> Awaitable[Any]:
    _attempt.set(attempt)
    return transactions(database).perform(function, arguments, fp, isolation, timeout_s, attempt)


def _enter(attempt: Attempt) -> None:
    _attempt.set(attempt)


def _perform(function: Callable[..., Any], arguments: tuple[Any, ...], attempt: Attempt) -> Any:
    _attempt.set(attempt)
    return function(*arguments)


async def _lift(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _branch(awaitable: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    return awaitable if inspect.iscoroutine(awaitable) else _lift(awaitable)


def _apply(function: Callable[[Any], Awaitable[Any]], item: Any) -> Coroutine[Any, Any, Any]:
    return _branch(function(item))


def _call_result(value: Any) -> CallResult:
    return msgspec.convert(value, CallResult)


def _unplain(label: str, problem: TypeError) -> Misuse:
    return Misuse(
        f"{label}: an argument has no plain form: {problem}.",
        cure="Pass plain data (dict, list, str, numbers), msgspec Structs or dataclasses.",
    )
