"""The one door out: one governed attempt per asking."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rco.egress.breaker import Shut, Ticket
from rco.egress.credentials import SecretMissing, SecretResolver, header_value
from rco.egress.evidence import call_decision, shown_path
from rco.egress.gates import Gates
from rco.egress.lane import Lane
from rco.egress.limits import Limits
from rco.egress.meters import watch
from rco.egress.outgoing import NotSendable
from rco.egress.passage import Passage
from rco.egress.permit import Leave, Permit
from rco.egress.plan import Plan, plan_of, repeat_of
from rco.egress.scopes import Scopes
from rco.egress.sharing import Sharing
from rco.egress.socket_guard import Journey, OpenSocket, open_socket
from rco.egress.state import TargetState
from rco.egress.verdict import (
    Verdict,
    crowded,
    late,
    permit_ran_out,
    refused,
    shut,
)
from rco.errors import ConfigInvalid
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.model.decision import Decision
from rco.model.effect import Answer, Attempt, EffectFailed, RetryPolicy
from rco.model.path import PathRefused
from rco.model.target import CallLimits, CallRequest, Repeat, Target, TargetProbe
from rco.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

    from rco.egress.sending import Sending

__all__ = ["REQUEST_LIMIT_BYTES", "Egress", "preload"]

REQUEST_LIMIT_BYTES = 1 << 20
_WHAT_LIMITS = {"rate_limited": "rate", "concurrency_limited": "concurrency"}


def preload() -> None:
    """Load the HTTP client; from any thread. The first call would do it: who has time before spares it the wait."""
    import_module("rco.egress.sending")


class Egress:
    """Makes governed calls to declared targets. Belongs to one event loop; a ``Lives``.

    An attempt passes, in this order: the target's rules, what the run holds, the target's breaker and pause, its
    limits, what the run still holds by then, its credential, the address guard on the socket, the cap on the answer,
    redaction. The first to refuse ends it. There is no repeating in here: retries belong to the engine, whose due times
    are durable.
    """

    def __init__(
        self,
        targets: Iterable[Target],
        *,
        clock: Clock,
        ids: Ids,
        resolve_secret: SecretResolver,
        metrics: Metrics,
        resolver: AbstractResolver | None = None,
        opener: OpenSocket = open_socket,
        tls: ssl.SSLContext | None = None,
        request_limit_bytes: int = REQUEST_LIMIT_BYTES,
        may_send: Callable[[], bool] = lambda: True,
        sharing: Sharing | None = None,
        namespaces: Mapping[str, CallLimits] | None = None,
        alone: bool = False,
        limited: Callable[[str], None] | None = None,
    ) -> None:
        """``resolver`` answers names (default: the system's), ``opener`` makes sockets that the guard has approved,
        ``tls`` verifies servers (default: the system's certificates). ``may_send`` is asked again just before a request
        is written to its connection: a process may have been stopped since the attempt began. ``sharing`` is what
        limits are kept in beyond this process; without it they are this process's alone, and there are no budgets, no
        switches. ``namespaces``: limits by namespace, ``*`` for every other. ``alone``: targets' own limits and what
        closes them are this process's all the same, and somebody else starts and stops the ``sharing``. ``limited``
        hears of each call that a limit held back. Raises ``ConfigInvalid`` for a bad target."""
        self._may_send = may_send
        self._clock, self._ids, self._resolve_secret, self._metrics = clock, ids, resolve_secret, metrics
        self._given_resolver, self._opener, self._tls = resolver, opener, tls
        self._request_limit_bytes = request_limit_bytes
        self._sending: Sending | None = None
        self._loading: asyncio.Task[None] | None = None
        self._running = False
        self._lanes: dict[str, Lane] = {}
        self._retired: set[Lane] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._under_way = self._called = 0
        self._idle: asyncio.Event | None = None
        self._sharing = None if alone else sharing
        self._limited = limited
        leaser, leased = (None, False) if sharing is None else (sharing.leaser, sharing.leased)
        self._scopes = Scopes(clock, leaser, leased=leased, own_leased=leased and not alone)
        self.gates: Gates | None = None
        """What is closed; ``None`` without a ``sharing``."""
        if sharing is not None and not alone:
            self.gates = Gates(sharing.closures, self.lane, shared=leased)
            sharing.closures.watched = lambda: bool(self._lanes)
            sharing.closures.busy = self._busy
        targets = list(targets)
        self._scopes.declare(targets, namespaces or {})
        self._use(self._lanes_for(targets))

    async def start(self) -> None:
        """Ready to call. Nothing is opened yet: connections are made by the first calls."""
        self._running = True
        if self._sharing is not None:
            await self._sharing.start()

    async def stop(self) -> None:
        """Close every connection and return when no attempt is under way. Those that were fail as if the connection
        had been lost; further attempts are refused as ``stopped``, retryable. May be called twice."""
        self._running = False
        for lane in (*self._lanes.values(), *self._retired):
            lane.limits.disperse()
        for limits in self._scopes.all():
            limits.disperse()
        for lane in (*self._lanes.values(), *self._retired):
            await lane.close()
        if self._under_way:
            self._idle = asyncio.Event()
            await self._idle.wait()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._sharing is not None:
            await self._sharing.stop()
        sending, self._sending = self._sending, None
        if sending is not None:
            await sending.close()

    def reload(self, targets: Iterable[Target], namespaces: Mapping[str, CallLimits] | None = None) -> None:
        """Replace all targets at once. A target whose declaration is equal keeps its limits, breaker and connections;
        a changed one begins anew, and attempts under way end under the old rules.

        Raises ``ConfigInvalid`` for a bad target; then nothing has changed.
        """
        targets = list(targets)
        lanes = self._lanes_for(targets)
        self._scopes.declare(targets, namespaces or {})
        for lane in lanes.values():
            lane.forget_ways()
        gone = [lane for name, lane in self._lanes.items() if lanes.get(name) is not lane]
        self._use(lanes)
        for lane in gone:
            lane.retired = True
            self._retired.add(lane)
            self._close_if_done(lane)

    async def attempt(self, request: CallRequest, attempt: Attempt, permit: Permit | None = None) -> Answer:
        """Make exactly one attempt, if ``permit`` lets it leave (``None``: whatever the target allows may).

        Returns an ``Answer`` whose value is ``{"status", "headers", "body", "b3", "fallback": False}``, redacted; the
        body is decoded JSON, or text, or base64 when it is no text (then ``"base64": True`` is added). ``b3`` is the
        digest of the body as it came over the wire.

        Raises ``EffectFailed``: ``code`` is ``call_refused`` when it was not let out, ``call_failed`` otherwise; what
        is ``retryable`` and ``ambiguous`` is said in ``verdict``. ``data`` holds ``status``, ``reason`` and, for an
        answer that says no, the redacted and shortened ``body``. Cancelling it closes the connection.
        """
        if self._sending is None:
            await self._load()
        begun = self._clock.monotonic()
        lane = self._lanes.get(request.target)
        if lane is None:
            message = f"no target is called {request.target[:64]!r}; declare it under targets"
            return self._end(refused("unknown_target", message), None, request, attempt, None, begun)
        lane.calls += 1
        lane.users += 1
        self._under_way += 1
        try:
            planned = self._plan(lane, request, attempt)
            if isinstance(planned, Verdict):
                plan, verdict = None, planned
            else:
                plan = planned
                if permit is None:
                    verdict = await self._admitted(lane, planned, attempt.namespace, None, begun)
                else:
                    verdict = await self._permitted(lane, planned, request, attempt, permit, begun)
        except BaseException:
            lane.outcomes["cancelled"] += 1
            raise
        finally:
            lane.users -= 1
            self._under_way -= 1
            if lane.retired:
                self._close_if_done(lane)
            if self._idle is not None and not self._under_way:
                self._idle.set()
        return self._end(verdict, lane, request, attempt, plan, begun, permit.shown if permit is not None else "")

    async def _load(self) -> None:
        """Load what sends, off the loop. Those who wait for it go on in the order in which they came."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(asyncio.to_thread(preload))
        # Others wait for the same: a call that is given up must not take it from them.
        await asyncio.shield(self._loading)
        if self._running and self._sending is None:
            from rco.egress.sending import Sending

            self._sending = Sending(self._given_resolver, self._tls, self._clock)

    def repeat_class(self, request: CallRequest) -> Repeat:
        """Whether the call may be repeated when it is not known whether it took effect. Unknown targets: never."""
        lane = self._lanes.get(request.target)
        return repeat_of(lane.target, request.method.upper()) if lane else Repeat.NEVER

    def retry_policy(self, request: CallRequest) -> RetryPolicy:
        """The target's attempts and back-off. One attempt for an unknown target: it will be refused."""
        lane = self._lanes.get(request.target)
        return RetryPolicy(lane.target.attempts, lane.target.backoff) if lane else RetryPolicy(attempts=1)

    def fallback(self, request: CallRequest) -> dict[str, Any] | None:
        """What stands in when no attempt is left: a value like an answer's with ``"fallback": True``, or ``None``.

        Asking for it counts as using it.
        """
        lane = self._lanes.get(request.target)
        if lane is None or lane.target.fallback is None:
            return None
        lane.meters.fell_back()
        declared = lane.target.fallback
        return {"status": declared.status, "headers": {}, "body": declared.body, "b3": "", "fallback": True}

    def probe(self, request: CallRequest) -> TargetProbe | None:
        """The target's own probe, for a call that may not be repeated."""
        lane = self._lanes.get(request.target)
        if lane is None or repeat_of(lane.target, request.method.upper()) is not Repeat.NEVER:
            return None
        return lane.target.probe

    def declared(self) -> list[Target]:
        """Every target as it was declared, by name."""
        return [self._lanes[name].target for name in sorted(self._lanes)]

    def state(self) -> list[TargetState]:
        """Every target's living state, by name."""
        return [self._lanes[name].state() for name in sorted(self._lanes)]

    def lane(self, name: str) -> Lane | None:
        """The lane of target ``name``."""
        return self._lanes.get(name)

    def _busy(self) -> bool:
        before, self._called = self._called, sum(lane.calls for lane in self._lanes.values())
        return self._under_way > 0 or self._called != before

    def limits_of(self, name: str) -> list[Limits]:
        """The limits of target ``name``: its own first, then those beside them that its calls have needed here."""
        lane = self._lanes[name]
        return [lane.limits, *self._scopes.made(lane.target)]

    def _plan(self, lane: Lane, request: CallRequest, attempt: Attempt) -> Plan | Verdict:
        try:
            return plan_of(lane, request, attempt, ids=self._ids, body_limit_bytes=self._request_limit_bytes)
        except (NotSendable, PathRefused) as error:
            return refused(error.reason, f"{lane.target.name}: {error}")

    async def _permitted(
        self, lane: Lane, plan: Plan, request: CallRequest, attempt: Attempt, permit: Permit, begun: float
    ) -> Verdict:
        leave = Leave(permit, lane.target.name, plan.method, request.path, attempt)
        return leave.refused(plan.what) or await self._admitted(lane, plan, attempt.namespace, leave, begun)

    async def _admitted(self, lane: Lane, plan: Plan, namespace: str, leave: Leave | None, begun: float) -> Verdict:
        """Switches, breaker, limits and the sending, under one deadline; the breaker hears what became of it."""
        gates = self.gates
        if gates is not None and gates.any_switched:
            off = gates.switched_off(lane, namespace, plan.what)
            if off is not None:
                return off
        ticket = lane.breaker.admit()
        if isinstance(ticket, Shut):
            lane.meters.limited("breaker" if ticket.reason == "breaker_open" else ticket.reason)
            return shut(ticket, plan.what)
        passage = Passage(lane.way(namespace), plan.cost)
        journey = Journey(self._may_send)
        entered = False
        try:
            async with asyncio.timeout(plan.timeout_s) as deadline:
                if ticket.probe and gates is not None and not await gates.may_probe(lane, ticket, plan.timeout_s):
                    return shut(Shut("breaker_open", min(1.0, lane.target.breaker.open_s)), plan.what)
                while True:
                    if not passage.slip_in():
                        lane.meters.limited(_WHAT_LIMITS[passage.held_back().reason])
                        why = await passage.enter(begun + plan.timeout_s, namespace)
                        if why is not None:
                            if why.reason == "budget_spent":
                                lane.meters.limited("budget")
                            lane.breaker.abandoned(ticket)
                            return crowded(why, plan.what, fail=lane.target.when_closed == "fail")
                        if gates is not None and gates.any_switched:
                            off = gates.switched_off(lane, namespace, plan.what)
                            if off is not None:
                                passage.leave(unused=True)
                                lane.breaker.abandoned(ticket)
                                return off
                        # The time is the target's to answer in: a call that was sent with little of it left would be
                        # given up, and its permit given on, while the target still works on it.
                        deadline.reschedule(asyncio.get_running_loop().time() + plan.timeout_s)
                    entered = True
                    if not passage.lasting:
                        journey.may_send = lambda: passage.good(self._clock) and self._may_send()
                    try:
                        verdict = (leave and leave.refused(plan.what)) or await self._send(lane, plan, journey)
                        if verdict.reason == "lease_ran_out" and not passage.good(self._clock):
                            verdict = permit_ran_out(plan.what)
                    except BaseException:
                        passage.leave()
                        raise
                    passage.leave(unused=verdict.waits)
                    if not verdict.waits:
                        break
                    # There was no connection while the permit lasted. There may be one now.
                    entered = False
        except TimeoutError:
            if entered:
                verdict = late(journey.sent, plan.timeout_s, plan.what)
            else:
                verdict = crowded(passage.held_back(), plan.what)
        except asyncio.CancelledError:
            # Closing the connector cancels what it waits for, and that looks like our own cancellation. It is not.
            task = asyncio.current_task()
            if self._running or task is None or task.cancelling():
                lane.breaker.abandoned(ticket)
                raise
            from rco.egress.broken import broken

            verdict = broken(ConnectionError(), journey.sent, "", plan.what)
        except BaseException:
            lane.breaker.abandoned(ticket)
            raise
        before = lane.breaker.phase
        _tell(lane, ticket, verdict)
        if gates is not None and (verdict.pause_s is not None or lane.breaker.phase is not before):
            gates.told(lane, before, verdict.pause_s)
        return verdict

    async def _send(self, lane: Lane, plan: Plan, journey: Journey) -> Verdict:
        if not self._running:
            return refused("stopped", f"{plan.what}: calls are stopped here; retry elsewhere or later", retryable=True)
        headers, secret = plan.headers, ""
        if lane.target.credential is not None:
            try:
                value, secret = header_value(lane.target.credential, self._resolve_secret)
            except SecretMissing as error:
                return refused("secret_missing", f"{plan.what}: {error}", retryable=True)
            headers = {**headers, lane.target.credential.header: value}
        assert self._sending is not None
        return await self._sending.send(lane, plan, journey, headers, secret)

    def _end(
        self,
        verdict: Verdict,
        lane: Lane | None,
        request: CallRequest,
        attempt: Attempt,
        plan: Plan | None,
        begun: float,
        capability: str = "",
    ) -> Answer:
        """Leave the evidence, then answer or raise. Raised here, outside any ``except``: the errors of the client
        library carry the request's headers, and a chained one would carry them into a traceback."""
        took_s = self._clock.monotonic() - begun
        if lane is not None:
            # The name of an unknown target is the caller's text: no label for it.
            lane.outcomes[verdict.reason or "ok"] += 1
            lane.meters.ended(verdict, took_s)
        decision = call_decision(
            at_us=self._clock.now_us(),
            allow=verdict.allow,
            target=request.target[:64],
            attempt=attempt,
            reason=verdict.reason,
            b3=plan.b3 if plan else "",
            method=plan.method if plan else request.method[:20].upper(),
            path=plan.template if plan else shown_path(request.path),
            status=verdict.status,
            took_s=took_s,
            capability=capability,
        )
        decisions: tuple[Decision, ...] = (decision,)
        if not verdict.reason:
            return Answer(verdict.value, decisions)
        data: dict[str, Any] = {"status": verdict.status, "reason": verdict.reason}
        if verdict.value is not None:
            data["body"] = verdict.value
        raise EffectFailed(
            verdict.message,
            kind=verdict.kind,
            code=verdict.code,
            retryable=verdict.retryable,
            ambiguous=verdict.ambiguous,
            retry_after_s=verdict.retry_after_s,
            waits=verdict.waits,
            data=data,
            decisions=decisions,
        )

    def _lanes_for(self, targets: Iterable[Target]) -> dict[str, Lane]:
        lanes: dict[str, Lane] = {}
        for target in targets:
            if target.name in lanes:
                raise ConfigInvalid(
                    "this name is declared twice; give each target its own", key=f"targets.{target.name}"
                )
            old = self._lanes.get(target.name)
            same = old is not None and old.target == target
            lanes[target.name] = old if old is not None and same else self._lane(target)
        return lanes

    def _use(self, lanes: dict[str, Lane]) -> None:
        self._lanes = lanes
        for name, lane in lanes.items():
            watch(name, self._metrics, lane.limits, lane.breaker)

    def _lane(self, target: Target) -> Lane:
        return Lane(
            target,
            scopes=self._scopes,
            clock=self._clock,
            metrics=self._metrics,
            opener=self._opener,
            limited=self._limited,
        )

    def _close_if_done(self, lane: Lane) -> None:
        if lane.users or lane not in self._retired:
            return
        self._retired.discard(lane)
        task = asyncio.get_running_loop().create_task(lane.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _tell(lane: Lane, ticket: Ticket, verdict: Verdict) -> None:
    if verdict.healthy is None:
        lane.breaker.abandoned(ticket)
    elif verdict.healthy:
        lane.breaker.succeeded(ticket)
    else:
        lane.breaker.failed(ticket)
    if verdict.pause_s is not None:
        lane.breaker.close_for(verdict.pause_s)
