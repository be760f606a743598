"""Targets of a test: everything that egress does is done, but what would go over the wire goes to a script.

So the rules of a declared target, its retries, limits, breaker, pauses by ``Retry-After``, fallback and redaction are
those of production, and a call that production would refuse is refused here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from rco.egress.client import Egress
from rco.egress.incoming import plain_body
from rco.egress.lane import Lane
from rco.egress.permit import Permit
from rco.egress.plan import Plan
from rco.egress.socket_guard import Journey
from rco.egress.verdict import Verdict, answered, late
from rco.errors import Misuse
from rco.kit.clock import Clock
from rco.kit.digest import content_address
from rco.kit.ids import Ids
from rco.model.effect import Answer, Attempt, EffectFailed, RetryPolicy
from rco.model.target import CallRequest, Repeat, Rule, Target, TargetProbe
from rco.telemetry.metrics import Metrics
from rco.testing.answers import Fault, Reply, Script
from rco.workflow.conversion import plain

__all__ = ["Called", "StubTargets"]

_ANY = [Rule(methods=["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"], path="/**")]
_asking: contextvars.ContextVar[tuple[CallRequest, Attempt]] = contextvars.ContextVar("rco_stub_asking")


class Called(msgspec.Struct, frozen=True):
    """One attempt of a governed call that left. ``at_s``: seconds since the world began.

    ``outcome``: the status, or what became of it instead of an answer. ``effect``: the other side did something new:
    not when it failed, and not when it had seen the idempotency key before.
    """

    at_s: float
    target: str
    method: str
    path: str
    json: Any
    attempt: int
    idempotency_key: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    outcome: str = ""
    effect: bool = False


class Ledger:
    """What the other side saw, over the deaths of nodes."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.called: list[Called] = []
        self.unknown: list[Misuse] = []
        self.die: Callable[[], None] = _stay
        self._done: set[str] = set()

    def ask(self, now_s: float, request: CallRequest, attempt: Attempt, headers: dict[str, str]) -> int:
        """Write an attempt down. Returns its place."""
        self.called.append(
            Called(
                now_s,
                request.target,
                request.method,
                request.path,
                request.json,
                attempt.number,
                attempt.idempotency_key,
                request.query,
                headers,
            )
        )
        return len(self.called) - 1

    def end(self, place: int, outcome: str, *, done: bool, keyed: bool) -> None:
        """Write down what became of it."""
        key = self.called[place].idempotency_key
        new = done and not (keyed and key in self._done)
        if done:
            self._done.add(key)
        self.called[place] = replace(self.called[place], outcome=outcome, effect=new)


class StubTargets(Egress):
    """``Egress`` whose wire is ``ledger``. A target that is not declared allows everything, has idempotency keys and
    the usual retries; when ``declared`` are given, only they are there."""

    def __init__(
        self, ledger: Ledger, declared: Iterable[Target], *, clock: Clock, ids: Ids, now_s: Callable[[], float]
    ) -> None:
        targets = list(declared)
        # A credential is never sent in a test, so no test needs the secret.
        bare = [replace(target, credential=None) for target in targets]
        super().__init__(bare, clock=clock, ids=ids, resolve_secret=_no_secret, metrics=Metrics(process=False))
        self._open = not targets
        self._ledger, self._now_s = ledger, now_s

    async def attempt(self, request: CallRequest, attempt: Attempt, permit: Permit | None = None) -> Answer:
        self._known(request)
        _asking.set((request, attempt))
        return await super().attempt(request, attempt, permit)

    async def _load(self) -> None:
        """There is nothing to load."""

    def repeat_class(self, request: CallRequest) -> Repeat:
        self._known(request)
        return super().repeat_class(request)

    def probe(self, request: CallRequest) -> TargetProbe | None:  # noqa: ARG002 - there is none
        return None

    def retry_policy(self, request: CallRequest) -> RetryPolicy:
        self._known(request)
        return super().retry_policy(request)

    def _known(self, request: CallRequest) -> None:
        if self._open and request.target not in self._lanes:
            target = Target(name=request.target, base_url="https://stub.test", allow=_ANY)
            self._use({**self._lanes, request.target: self._lane(target)})

    async def _send(self, lane: Lane, plan: Plan, journey: Journey) -> Verdict:
        """Instead of a socket: what the script says."""
        request, attempt = _asking.get()
        ledger, keyed = self._ledger, plan.repeat is Repeat.KEYED
        headers = dict(plan.headers)
        place = ledger.ask(self._now_s(), request, attempt, headers)
        try:
            told = ledger.script.answer(request)
        except LookupError as missing:
            problem = ledger.script.missing(str(missing.args[0]))
            ledger.unknown.append(problem)
            raise EffectFailed(str(problem), kind="Misuse", retryable=False) from None
        except BaseException as problem:
            ledger.end(place, type(problem).__name__, done=False, keyed=keyed)
            raise
        if isinstance(told, BaseException):
            ledger.end(place, type(told).__name__, done=False, keyed=keyed)
            raise told
        if isinstance(told, Fault):
            return await self._fault(told, plan, journey, place)
        return await self._reply(told if isinstance(told, Reply) else Reply(told), lane, plan, journey, place)

    async def _fault(self, told: Fault, plan: Plan, journey: Journey, place: int) -> Verdict:
        journey.sent = told.kind != "cannot_connect"
        self._ledger.end(place, told.kind, done=told.done, keyed=plan.repeat is Repeat.KEYED)
        if told.after_s:
            await asyncio.sleep(told.after_s)
        if told.kind == "cannot_connect":
            return Verdict(
                reason="connect_failed",
                kind="ConnectFailed",
                message=f"{plan.what}: no connection (the test says so)",
                retryable=True,
                healthy=False,
            )
        if told.kind == "connection_lost":
            return Verdict(
                reason="connection_lost",
                kind="ConnectionLost",
                message=f"{plan.what}: the connection ended before the answer did",
                retryable=True,
                ambiguous=True,
                healthy=False,
            )
        if told.kind == "node_dies":
            self._ledger.die()
        else:
            # However long the call would wait.
            await asyncio.sleep(plan.timeout_s)
        await asyncio.get_running_loop().create_future()
        return late(True, plan.timeout_s, plan.what)

    async def _reply(self, told: Reply, lane: Lane, plan: Plan, journey: Journey, place: int) -> Verdict:
        journey.sent = True
        fine = 200 <= told.status < 300
        # Written down before the time it takes: who waits no longer has it done all the same.
        self._ledger.end(place, str(told.status), done=fine, keyed=plan.repeat is Repeat.KEYED)
        if told.after_s:
            await asyncio.sleep(told.after_s)
        raw = msgspec.json.encode(plain(told.body)) if told.body is not None else b""
        if not fine:
            retry_after = [value for name, value in told.headers.items() if name.lower() == "retry-after"]
            verdict = answered(told.status, retry_after, self._clock.now_us(), plan.repeat, plan.what)
            return msgspec.structs.replace(verdict, value=plain(told.body)) if told.body is not None else verdict
        body, _ = plain_body(raw, "application/json", lane.redaction, "")
        result = {
            "status": told.status,
            "headers": {name.lower(): value for name, value in told.headers.items()},
            "body": body,
            "b3": content_address(raw),
            "fallback": False,
        }
        return Verdict(status=told.status, healthy=True, value=result)


def _stay() -> None:
    """Nobody can die here."""


def _no_secret(reference: str) -> str:
    raise Misuse(f"a test has no secret {reference!r}.", cure="Targets of a test need no credential.")
