"""A delivery at work: a run of the service's own, so that it is durable, parked, cancelled and seen like any other.

Each attempt is a step whose result is its redacted log; the waits between are timers, so a delivery that waits for
hours is a row and costs no memory. An attempt that a crash cut off is made again under the same ``webhook-id``, by
which receivers drop what they had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rco.engine.machine import Machine
from rco.engine.operation import Effect, Emit, Timer
from rco.engine.program import Program, StartBody
from rco.errors import StepFailed
from rco.kit.canonical import fingerprint
from rco.kit.clock import MICROS, iso
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.effect import Answer, Attempt, RetryPolicy
from rco.model.endpoint import DELIVER, Endpoint, EndpointState
from rco.model.target import Repeat
from rco.operations.desk import Desk
from rco.telemetry import signals
from rco.webhooks.sender import Sent

__all__ = ["DISABLED", "Delivering", "deliver_program"]

DISABLED = "rco.endpoint.disabled.v1"
"""The type of the event that tells that an endpoint was disabled."""
_PATIENCE = RetryPolicy(20)


class Delivering(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a delivery. ``once``: there is one attempt, even to a disabled endpoint; that is a test."""

    endpoint: str
    message_id: str
    message: dict[str, Any]
    once: bool = False
    replay_of: str = ""


def deliver_program(desk: Callable[[], Desk]) -> Program:
    """The program behind every delivery. ``desk`` is asked at each attempt."""

    async def begin(machine: Machine, run_id: bytes, start: StartBody) -> Any:
        del machine
        work = _Work(desk, run_id, start)
        number = 0
        while True:
            number += 1
            log = await _step(f"attempt#{number}", "attempt", work.attempt(number))
            if log["then"] in ("disable_gone", "disable_failing"):
                told = await _step("disable", "disable", work.disable(log))
                if told is not None:
                    await Emit(f"emit {DISABLED}", fingerprint("emit", DISABLED), DISABLED, told, log["endpoint"], None)
            if log["then"] == "done":
                return {"attempts": number, "status": log["status"], "message_id": log["message_id"]}
            if log["then"] != "wait":
                raise StepFailed(
                    _why(log), kind="DeliveryFailed", step="attempt", attempts=number, data={"status": log["status"]}
                )
            await Timer(f"wait#{number}", fingerprint("wait", number), log["wait_s"])

    return Program(DELIVER, "1", begin)


def _step(key: str, name: str, work: Callable[[Attempt], Awaitable[Answer]]) -> Effect[Any]:
    return Effect(key, fingerprint("deliver", key), name, work, repeat=Repeat.KEYED, policy=_PATIENCE)


def _why(log: dict[str, Any]) -> str:
    words = {
        "skip": f"the endpoint is {log.get('reason', '')}",
        "disable_gone": "the endpoint answered 410 and is disabled",
        "disable_failing": "the endpoint failed for too long and is disabled",
    }
    last = f"status {log['status']}" if log["status"] else log.get("reason", "")
    return words.get(log["then"], f"no attempt is left; the last came to {last}")


class _Work:
    """The steps of one delivery."""

    def __init__(self, desk: Callable[[], Desk], run_id: bytes, start: StartBody) -> None:
        self._desk, self._run = desk, id_text(run_id)
        self._namespace: str = start.get("namespace") or "default"
        self._corr_id: str = start.get("corr_id") or ""
        self._spec = msgspec.convert(start["input"], Delivering)

    def attempt(self, number: int) -> Callable[[Attempt], Awaitable[Answer]]:
        """Send once; the log says what is to happen then."""

        async def perform(attempt: Attempt) -> Answer:
            desk, spec = self._desk(), self._spec
            endpoint = await desk.reader.endpoint(spec.endpoint)
            refused = self._refused(endpoint)
            if endpoint is None or refused:
                desk.metrics.counter(signals.WEBHOOK_DELIVERIES, outcome="skipped").add()
                log = {"attempt": number, "at": iso(desk.clock.now_us()), "message_id": spec.message_id, "status": 0}
                return Answer(log | {"reason": refused, "then": "skip", "endpoint": spec.endpoint})
            hooks = desk.webhooks
            assert hooks is not None
            sent = await hooks.sender.send(endpoint, spec.message_id, spec.message, attempt, number)
            then, wait_s = await self._next(desk, endpoint, sent, number)
            if then != "wait":
                outcome = "delivered" if then == "done" else "failed"
                desk.metrics.counter(signals.WEBHOOK_DELIVERIES, outcome=outcome).add()
            log = sent.log | {"endpoint": spec.endpoint, "then": then}
            return Answer(log if wait_s is None else log | {"wait_s": wait_s}, sent.decisions)

        return perform

    def _refused(self, endpoint: Endpoint | None) -> str:
        if endpoint is None or endpoint.namespace != self._namespace or endpoint.state is EndpointState.DELETED:
            return "deleted"
        return "disabled" if endpoint.state is EndpointState.DISABLED and not self._spec.once else ""

    async def _next(self, desk: Desk, endpoint: Endpoint, sent: Sent, number: int) -> tuple[str, float | None]:
        assert desk.webhooks is not None
        sender = desk.webhooks.sender
        if sent.delivered:
            if endpoint.failing_since_us is not None:
                await desk.webhooks.change(endpoint.endpoint_id, _well)
            return "done", None
        if self._spec.once:
            return "end", None
        if sent.gone:
            return "disable_gone", None
        now_us = desk.clock.now_us()
        since_us = endpoint.failing_since_us
        if since_us is None:
            await desk.webhooks.change(endpoint.endpoint_id, lambda one: _failing(one, now_us))
        elif now_us - since_us >= sender.options.disable_after_s * MICROS:
            return "disable_failing", None
        wait_s = sender.wait_s(number, sent.retry_after_s)
        return ("end", None) if wait_s is None else ("wait", wait_s)

    def disable(self, log: dict[str, Any]) -> Callable[[Attempt], Awaitable[Answer]]:
        """Disable the endpoint. Gives what the notice tells, or nothing when somebody else had disabled it."""
        cause = log["then"].removeprefix("disable_")

        async def perform(_: Attempt) -> Answer:
            desk, spec = self._desk(), self._spec
            assert desk.webhooks is not None
            now_us = desk.clock.now_us()
            changed = await desk.webhooks.change(spec.endpoint, lambda one: _disabled(one, cause, self._run, now_us))
            # Repeated after a crash it finds what it did before, and tells it.
            if changed is None or changed.disabled_by != self._run:
                return Answer(None)
            desk.metrics.counter(signals.WEBHOOK_DISABLED, cause=cause).add()
            told = {
                "endpoint": spec.endpoint,
                "cause": cause,
                "since": iso(changed.since_us),
                "failing_since": None if changed.failing_since_us is None else iso(changed.failing_since_us),
                "status": log["status"],
                "reason": log["reason"],
                "delivery": self._run,
            }
            decision = Decision(
                verb=Verb.ENDPOINT,
                at_us=now_us,
                actor=f"run:{self._run}",
                subject=spec.endpoint,
                run=self._run,
                corr_id=self._corr_id,
                reason=cause,
                facts={"did": "disable", "status": log["status"]},
            )
            return Answer(told, (decision,))

        return perform


def _well(one: Endpoint) -> Endpoint | None:
    return None if one.failing_since_us is None else msgspec.structs.replace(one, failing_since_us=None)


def _failing(one: Endpoint, now_us: int) -> Endpoint | None:
    return None if one.failing_since_us is not None else msgspec.structs.replace(one, failing_since_us=now_us)


def _disabled(one: Endpoint, cause: str, run: str, now_us: int) -> Endpoint | None:
    if one.state is not EndpointState.ENABLED:
        return None
    return msgspec.structs.replace(one, state=EndpointState.DISABLED, cause=cause, since_us=now_us, disabled_by=run)
