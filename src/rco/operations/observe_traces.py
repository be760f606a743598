"""Observe: what came in, the runs that it started, their steps and their calls, as spans of one trace.

A run's span has the run's own identity, so that every node that works on it puts what it does under the same one. Spans
are telemetry: they are made once a commit stands or an attempt has ended, are lost with the process, and hold no
payload; the evidence is elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from rco.engine.ask import StartAsk, Started
from rco.engine.engine import Engine
from rco.engine.live import Live
from rco.engine.operation import Effect
from rco.kit.clock import Clock
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.delivery import Delivery
from rco.model.effect import Answer, Attempt, EffectFailed
from rco.model.event import Event
from rco.model.run import Outcome
from rco.telemetry.span import Span, SpanKind, Value
from rco.telemetry.trace import span_id_of
from rco.telemetry.tracer import Tracer

__all__ = ["asked_for", "came_in", "observe_traces", "of_delivery"]


def observe_traces(engine: Engine, tracer: Tracer, clock: Clock) -> None:
    """From now on every run belongs to a trace, and where spans are made, it has one, and each of its attempts."""
    watch = _Watch(tracer, clock)
    engine.trace(lambda run_id: tracer.root(span_id_of(run_id)), watch.watching if tracer.on else None)
    if tracer.on:
        engine.on_closed(watch.closed)


def came_in(tracer: Tracer, clock: Clock, event: Event, route: str, parent_id: str, more: dict[str, Value]) -> None:
    """The span of a request that brought ``event``, which has been taken; ``parent_id`` is its caller's span. For who
    has seen that spans are made."""
    attributes: dict[str, Value] = {
        "http.request.method": "POST",
        "http.route": route,
        "rco.event.id": event.id,
        "rco.event.type": event.type,
        "rco.namespace": event.namespace,
        "rco.corr_id": event.corr_id,
        **more,
    }
    _served(tracer, clock, event.trace, parent_id, f"POST {route}", event.received_us, attributes)


def asked_for(tracer: Tracer, clock: Clock, ask: StartAsk, started: Started, parent_id: str, began_us: int) -> None:
    """The span of a request that started a run by its name, or found it started; ``parent_id`` is its caller's span.
    For who has seen that spans are made."""
    attributes: dict[str, Value] = {
        "rco.run.id": id_text(started.run_id),
        "rco.workflow": ask.workflow,
        "rco.namespace": ask.namespace,
        "rco.corr_id": ask.corr_id,
    }
    if not started.created:
        attributes["rco.duplicate"] = True
    _served(tracer, clock, ask.trace, parent_id, f"start {ask.workflow}", began_us, attributes)


def _served(
    tracer: Tracer, clock: Clock, trace: str, parent_id: str, name: str, began_us: int, attributes: dict[str, Value]
) -> None:
    """The span of a request of others', which ends now."""
    tracer.end(
        trace,
        lambda trace_id, span_id: Span(
            trace_id=trace_id,
            span_id=span_id,
            parent_id=parent_id,
            name=name,
            kind=SpanKind.SERVER,
            began_us=began_us,
            ended_us=clock.now_us(),
            attributes=attributes,
        ),
    )


def of_delivery(delivery: Delivery, *, duplicate: bool) -> dict[str, Value]:
    """What is said of a webhook besides its event."""
    told: dict[str, Value] = {"rco.provider": delivery.provider, "http.response.status_code": 202}
    if duplicate:
        told["rco.duplicate"] = True
    return told


class _Watch:
    def __init__(self, tracer: Tracer, clock: Clock) -> None:
        self._tracer, self._clock = tracer, clock

    def closed(self, live: Live, outcome: Outcome, value: Any) -> None:
        attributes: dict[str, Value] = {
            "rco.run.id": id_text(live.run_id),
            "rco.workflow": live.workflow,
            "rco.namespace": live.namespace,
            "rco.outcome": outcome.value,
        }
        if live.version:
            attributes["rco.workflow.version"] = live.version
        if live.corr_id:
            attributes["rco.corr_id"] = live.corr_id
        if live.parent is not None:
            attributes["rco.run.parent"] = id_text(live.parent)
        error = ""
        if outcome is not Outcome.COMPLETED:
            code = value.get("code") if isinstance(value, dict) else None
            error = code if isinstance(code, str) and code else outcome.value
        parent_id = live.trace[36:52]
        self._tracer.end(
            live.span,
            lambda trace_id, span_id: Span(
                trace_id=trace_id,
                span_id=span_id,
                # Where the trace began with the run, that says so by naming the run's own.
                parent_id="" if parent_id == span_id else parent_id,
                name=f"run {live.workflow}",
                began_us=live.opened_us,
                ended_us=self._clock.now_us(),
                error=error,
                attributes=attributes,
            ),
        )

    def watching(self, live: Live, op: Effect[Any]) -> Callable[[Attempt], Awaitable[Any]]:
        span = self._tracer.child(live.span)
        if not span:
            return op.perform

        async def watched(attempt: Attempt) -> Any:
            began_us = self._clock.now_us()
            error, waits = "", False
            decisions: tuple[Decision, ...] = ()
            try:
                answer = await op.perform(replace(attempt, span=span))
                if type(answer) is Answer:
                    decisions = answer.decisions
                return answer
            except EffectFailed as problem:
                error, decisions, waits = problem.code or problem.kind, problem.decisions, problem.waits
                raise
            except asyncio.CancelledError:
                error = "cancelled"
                raise
            except BaseException as problem:
                error = type(problem).__name__
                raise
            finally:
                # What only waits for leave was not tried, and is asked again and again.
                if not waits:
                    self._ended(live, op, attempt, span, began_us, error, decisions)

        return watched

    def _ended(
        self,
        live: Live,
        op: Effect[Any],
        attempt: Attempt,
        span: str,
        began_us: int,
        error: str,
        decisions: tuple[Decision, ...],
    ) -> None:
        call = next((one for one in decisions if one.verb is Verb.CALL), None)
        kind, name = SpanKind.INTERNAL, f"step {op.name}"
        attributes: dict[str, Value] = {"rco.run.id": id_text(live.run_id), "rco.step": op.key}
        if attempt.number > 1:
            attributes["rco.attempt"] = attempt.number
        if call is not None:
            facts = call.facts
            kind, name = SpanKind.CLIENT, f"{facts['method']} {facts['path']}"
            attributes["http.request.method"] = facts["method"]
            attributes["url.template"] = facts["path"]
            attributes["rco.target"] = call.subject
            if facts["status"]:
                attributes["http.response.status_code"] = facts["status"]
            if attempt.number > 1:
                attributes["http.request.resend_count"] = attempt.number - 1
            error = call.reason or error
        self._tracer.end(
            span,
            lambda trace_id, span_id: Span(
                trace_id=trace_id,
                span_id=span_id,
                parent_id=span_id_of(live.run_id),
                name=name,
                kind=kind,
                began_us=began_us,
                ended_us=self._clock.now_us(),
                error=error,
                attributes=attributes,
            ),
        )
