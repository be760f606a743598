"""Run one workflow from its start to its end, in memory and under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from random import Random
from typing import Any

import msgspec

from rco.audit.chain import ChainSealer
from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.errors import Misuse
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.effect import Answer, Attempt, EffectFailed, RetryPolicy
from rco.model.event import Event
from rco.model.journal import Kind, decode_segment
from rco.model.run import Outcome
from rco.model.target import CallRequest, Repeat
from rco.testing.database import ModelDatabase
from rco.testing.loop import VirtualLoop
from rco.testing.store import ModelKeeper
from rco.workflow import Workflow
from rco.workflow.application import Application
from rco.workflow.conversion import plain

__all__ = ["Called", "Ended", "run_workflow"]

Answers = Mapping[str, Any] | Callable[[CallRequest], Any]
REPEATS = RetryPolicy(5)


class Called(msgspec.Struct, frozen=True):
    """One attempt of a governed call. ``at_s``: seconds since the run was started."""

    at_s: float
    target: str
    method: str
    path: str
    json: Any
    attempt: int
    idempotency_key: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended. ``value`` is its result, or its error as plain data when ``outcome`` is not ``completed``.

    ``took_s``: how much virtual time passed. ``journal``: (kind, step key) of each record, in order.
    """

    outcome: str
    value: Any
    took_s: float
    calls: list[Called]
    journal: list[tuple[str, str]]


def run_workflow(
    workflow: Workflow[Any, Any],
    input: Any = None,
    *,
    calls: Answers | None = None,
    signals: Iterable[tuple[float, str, Any]] = (),
    events: Iterable[tuple[float, str, str | None, Any]] = (),
    cancel_after_s: float | None = None,
    others: Iterable[Workflow[Any, Any]] = (),
    within_s: float = 366 * 86400.0,
    seed: int = 0,
) -> Ended:
    """Run ``workflow`` with ``input`` on the real engine, over a store in memory, and skip the time it waits.

    ``calls``: what ``ctx.call`` is answered: a mapping from ``"METHOD target path"`` to a JSON body, an exception to
    raise, or a list of these, one for each attempt (the last stays); or a function of the request that gives a body or
    raises. An ``EffectFailed`` is what egress would report; any other exception fails the step. ``signals``: (after
    seconds, name, value). ``events``: (after seconds, type, subject, data). ``cancel_after_s``: when to cancel the run.
    ``others``: workflows it opens as children. ``seed`` draws the jitter of retries.

    Raises ``Misuse`` for a call that nothing answers, and ``TimeoutError`` when the run has not ended ``within_s``
    virtual seconds, with what it waits for. Nothing of it remains afterwards; each call is a world of its own.
    """
    loop = VirtualLoop(Random(seed).random)  # type: ignore[abstract]  # noqa: S311 - not for secrets
    try:
        return _World(loop, workflow, list(others), calls or {}, seed).run(
            plain(input), list(signals), list(events), cancel_after_s, within_s
        )
    finally:
        loop.close()


class _World:
    """A node on a store in memory, without any trouble."""

    def __init__(
        self,
        loop: VirtualLoop,
        workflow: Workflow[Any, Any],
        others: list[Workflow[Any, Any]],
        calls: Answers,
        seed: int,
    ) -> None:
        self._loop, self._workflow = loop, workflow
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._clock = loop.outside.clock
        self._database = ModelDatabase(ChainSealer(), lambda: loop.world.now_s)
        self._keeper = ModelKeeper(self._database, clock=self._clock, node="test")
        self.caller = _Caller(calls, loop)
        self._programs = Application("test", ".", [workflow, *others]).programs(self.caller, Inline())
        self._engine: Engine | None = None

    def run(
        self,
        given: Any,
        signals: list[tuple[float, str, Any]],
        events: list[tuple[float, str, str | None, Any]],
        cancel_after_s: float | None,
        within_s: float,
    ) -> Ended:
        loop, tables = self._loop, self._database.tables
        run_id: bytes = loop.run_until_complete(self._start(given))
        for after_s, name, value in signals:
            loop.spawn(loop.outside, self._later(after_s, partial(self._signal, run_id, name, value)))
        for after_s, type, subject, data in events:
            loop.spawn(
                loop.outside,
                self._later(after_s, partial(self._event, type, subject, data)),
            )
        if cancel_after_s is not None:
            loop.spawn(loop.outside, self._later(cancel_after_s, lambda: self._cancel(run_id)))
        loop.run_until(lambda: run_id in tables.closed or bool(self.caller.unknown), within_s)
        if self.caller.unknown:
            raise self.caller.unknown[0]
        row = tables.closed.get(run_id)
        records = [one for segment in tables.journal[run_id] for one in decode_segment(segment.data)]
        if row is None:
            open_row = tables.runs[run_id]
            why = f" It says: {open_row.detail.decode()}" if open_row.detail else ""
            last = f"{Kind(records[-1].kind).name} {records[-1].key}".strip()
            raise TimeoutError(f"The run is {open_row.mode.name} after {within_s:g} s; its last record is {last}.{why}")
        outcome, value = records[-1].body
        return Ended(
            outcome=Outcome(outcome).value,
            value=value,
            took_s=(row.closed_us - row.opened_us) / 1e6 if row.closed_us is not None else 0.0,
            calls=self.caller.called,
            journal=[(Kind(record.kind).name, record.key) for record in records],
        )

    async def _start(self, given: Any) -> bytes:
        await self._keeper.start()
        self._engine = engine = Engine(
            self._keeper.writer,
            self._keeper.reader,
            Programs(self._programs),
            lambda _: Started([], []),
            clock=self._clock,
            ids=Ids(self._clock, self._random.randbytes),
            random=self._random.random,
            options=EngineOptions(),
        )
        await engine.start()
        return (await engine.start_run(StartAsk(workflow=self._workflow.name, input=given))).run_id

    async def _later(self, after_s: float, act: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.sleep(after_s)
        await act()

    async def _signal(self, run_id: bytes, name: str, value: Any) -> None:
        assert self._engine is not None
        number = self._random.randbytes(8).hex()
        decision = Decision(verb=Verb.SIGNAL, at_us=self._clock.now_us(), actor="test")
        await self._engine.signal(run_id, name, plain(value), number, decision)

    async def _cancel(self, run_id: bytes) -> None:
        assert self._engine is not None
        decision = Decision(verb=Verb.CANCEL, at_us=self._clock.now_us(), actor="test")
        await self._engine.cancel(run_id, "cancelled by the test", "test", decision)

    async def _event(self, type: str, subject: str | None, data: Any) -> None:
        now_us = self._clock.now_us()
        event = Event(
            id=self._random.randbytes(8).hex(),
            source="/test",
            type=type,
            subject=subject,
            data=msgspec.json.encode(plain(data)),
            time_us=now_us,
            received_us=now_us,
            corr_id="test",
        )
        self._keeper.writer.changes(0).events.append(event)


class _Caller:
    """Implements ``rco.workflow.calls.Caller`` with answers that a test gives."""

    def __init__(self, answers: Answers, loop: VirtualLoop) -> None:
        self._answers, self._loop = answers, loop
        self._given: dict[str, int] = {}
        self.called: list[Called] = []
        self.unknown: list[Misuse] = []

    def repeat_class(self, request: CallRequest) -> Repeat:
        return Repeat.SAFE if request.method in ("GET", "HEAD") else Repeat.KEYED

    def retry_policy(self, request: CallRequest) -> RetryPolicy:  # noqa: ARG002 - the same for all
        return REPEATS

    def fallback(self, request: CallRequest) -> dict[str, Any] | None:  # noqa: ARG002 - there is none
        return None

    async def attempt(self, request: CallRequest, attempt: Attempt) -> Answer:
        self.called.append(
            Called(
                self._loop.world.now_s,
                request.target,
                request.method,
                request.path,
                request.json,
                attempt.number,
                attempt.idempotency_key,
            )
        )
        told = self._answers(request) if callable(self._answers) else self._next(request, self._answers)
        if isinstance(told, BaseException):
            raise told
        return Answer({"status": 200, "headers": {}, "body": plain(told)})

    def _next(self, request: CallRequest, answers: Mapping[str, Any]) -> Any:
        name = f"{request.method} {request.target} {request.path}"
        if name not in answers:
            known = ", ".join(sorted(answers)) or "none"
            problem = Misuse(f"the test has no answer to {name!r}.", cure=f"Add it to calls=; there are: {known}.")
            self.unknown.append(problem)
            raise EffectFailed(str(problem), kind="Misuse", retryable=False)
        told = answers[name]
        if not isinstance(told, list):
            return told
        at = self._given.get(name, 0)
        self._given[name] = at + 1
        return told[min(at, len(told) - 1)]


class Inline(Executor):
    """Runs at once what is submitted: a virtual world has one thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as problem:  # noqa: BLE001 - it goes to who waits
            future.set_exception(problem)
        return future
