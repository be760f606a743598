"""Receive: accept a proven delivery, and open every run that wants it, in one commit."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from rco.engine.ask import StartAsk
from rco.engine.emitting import Ask, Started, use_by_event, use_by_letter
from rco.engine.opening import Opening
from rco.errors import Forbidden, Overloaded, RcoError, Reason, Refused
from rco.kit.clock import MICROS, iso
from rco.model.decision import Decision, Verb
from rco.model.delivery import Delivery, Receipt
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.payload import Reference
from rco.operations.clearance import Cleared
from rco.operations.delivery_asks import add_deliveries
from rco.operations.desk import Desk
from rco.operations.observe_traces import came_in, of_delivery
from rco.operations.publishing import not_publishing, publishing
from rco.store.contract.changes import Admission, Admitted, Claim, StartKey
from rco.telemetry import signals
from rco.webhooks.book import letter_label

__all__ = [
    "asks_for",
    "emitted",
    "event_input",
    "keep_data",
    "openings",
    "receive",
    "require_open",
    "require_room",
]


def event_input(event: Event, value: Any = None) -> dict[str, Any]:
    """What a workflow started by an event is given: the CloudEvent as plain data. ``value``: the event's data decoded,
    where somebody has done that already."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": iso(event.time_us),
        "data": msgspec.json.decode(event.data) if value is None else value,
    }


async def receive(desk: Desk, delivery: Delivery) -> Receipt:
    """Accept a delivery. When this returns, the event and every run it starts are durable.

    A second call with the same claim changes nothing and names the first correlation id. What a subscription could not
    take is kept as a dead letter. Before anything is written it raises ``Refused`` when no rule lets the provider
    deliver, ``StoreError`` when no right can be given now, and ``Overloaded`` when there is no room.
    """
    provider = delivery.provider
    trace, caller = desk.tracer.came(delivery.event.trace)
    event = replace(delivery.event, trace=trace)
    corr_id, received_us = event.corr_id, event.received_us
    actor = f"provider:{provider}"
    if desk.namespace_keys is not None:
        require_open(desk, event.namespace)
    cleared = desk.clearance.event(event, delivery.data_b3)
    cleared.accept(provider)
    reference = await keep_data(desk, event) if len(event.data) > desk.engine.over_bytes else None
    value = delivery.value
    opened, letters, more = openings(desk, event, actor, cleared=cleared, reference=reference, value=value)
    desk.engine.admit(sum(opening.row.place is None for opening, _ in opened))
    facts: dict[str, str | int | bool] = {
        "type": event.type,
        "sig_alg": delivery.sig_alg,
        "secret_id": delivery.secret_id,
        "runs": len(opened),
        "latency_bucket": delivery.latency,
        **cleared.facts,
    }
    decision = Decision(
        verb=Verb.ACCEPT,
        at_us=received_us,
        actor=actor,
        subject=provider,
        event=event.id,
        corr_id=corr_id,
        b3=delivery.b3,
        facts=facts,
    )
    again = replace(decision, reason="duplicate")
    admission = admission_of(
        event,
        opened,
        letters,
        Claim(delivery.claim, corr_id, received_us + round(delivery.claim_ttl_s * MICROS)),
        [decision, *more],
        [again],
        reference,
    )

    def begin(outcome: Admitted) -> None:
        begin_opened(desk, outcome, opened)

    admitted = await desk.engine.submit(0, admission, begin)
    if desk.trail is not None:
        desk.trail.tell(again if admitted.status == "duplicate" else decision)
    duplicate = admitted.status == "duplicate"
    if desk.tracer.on:
        route = f"/webhooks/{provider}"
        came_in(desk.tracer, desk.clock, event, route, caller, of_delivery(delivery, duplicate=duplicate))
    if duplicate:
        return Receipt(True, admitted.corr_id)
    desk.metrics.counter(signals.EVENTS, origin="webhook").add()
    return Receipt(False, corr_id)


async def keep_data(desk: Desk, event: Event) -> Reference:
    """Keep an event's data that are too large for a row. Raises ``ObjectsAway``."""
    return await desk.engine.keep(event.namespace, event.data, json=True)


def require_room(desk: Desk, delivery: Delivery) -> None:
    """Pass where ``receive`` would take ``delivery`` now, as far as that can be known. Raises as ``receive`` does
    before anything is written: for who has to do something large first."""
    if desk.namespace_keys is not None:
        require_open(desk, delivery.event.namespace)
    desk.clearance.event(delivery.event, delivery.data_b3).accept(delivery.provider)
    desk.engine.admit()


def require_open(desk: Desk, namespace: str) -> None:
    """Pass where an event of ``namespace`` can be kept. Raises ``Refused(POLICY_BLOCKED)`` where its key was erased."""
    if desk.namespace_keys is not None:
        try:
            desk.namespace_keys.require_open(namespace)
        except Forbidden as problem:
            raise Refused(Reason.POLICY_BLOCKED, "namespace_key", str(problem)) from None


def emitted(desk: Desk, event: Event) -> Started:
    """What an event that a run emitted starts."""
    desk.metrics.counter(signals.EVENTS, origin="run").add()
    return asks_for(desk, event, event.origin)


def asks_for(
    desk: Desk,
    event: Event,
    actor: str,
    only: str | None = None,
    cleared: Cleared | None = None,
    value: Any = None,
) -> Started:
    """What ``event`` starts: an ask for each subscription that wants it, a cause where a filter failed.

    ``only``: consider the subscription of that name alone. ``value``: the event's data decoded, where they are.
    """
    matches = desk.router.match(event)
    started = Started([], [(one.name, cause) for one, cause in matches.failed if only in (None, one.name)])
    for subscription in matches.publishes:
        if only in (None, subscription.name):
            try:
                cleared = cleared or desk.clearance.event(event)
                cleared.publish(subscription)
            except RcoError as problem:
                started.failed.append((subscription.name, str(problem)))
                if isinstance(problem, Forbidden):
                    started.decisions.append(not_publishing(event, subscription, desk.clock.now_us()))
                continue
            started.decisions.append(publishing(event, subscription, desk.clock.now_us()))
            desk.metrics.counter(signals.EVENT_MATCHES, subscription=subscription.name).add()
    if desk.webhooks is not None and desk.webhooks.book.any:
        add_deliveries(started, desk.webhooks.book, event, actor, only, desk.metrics)
    if not matches.starts:
        return started
    try:
        cleared = cleared or desk.clearance.event(event)
    except RcoError as problem:
        started.failed.extend((one.name, str(problem)) for one, _ in matches.starts if only in (None, one.name))
        return started
    given = event_input(event, value)
    for subscription, given_key in matches.starts:
        if only in (None, subscription.name):
            try:
                grant_for = cleared.start(subscription)
            except Forbidden as problem:
                started.failed.append((subscription.name, str(problem)))
                continue
            # A key of the author's own is one of this workflow: another one may use the same expression.
            key = given_key if subscription.key is None else f"{subscription.workflow}/{given_key}"
            ask = StartAsk(
                workflow=subscription.workflow,
                input=given,
                key=key,
                namespace=event.namespace,
                actor=actor,
                corr_id=event.corr_id,
                trace=event.trace,
                event_id=event.id,
                of_event=True,
                large=("data",),
                queue=subscription.queue or "",
                fair_key=subscription.fair_key or "",
                priority=subscription.priority,
                grant_for=grant_for,
            )
            # A key of the author's own outlives the event: two events with one key are one run.
            started.asks.append(Ask(subscription.name, ask, subscription.key is not None))
            desk.metrics.counter(signals.EVENT_MATCHES, subscription=subscription.name).add()
    return started


def openings(
    desk: Desk,
    event: Event,
    actor: str,
    only: str | None = None,
    cleared: Cleared | None = None,
    reference: Reference | None = None,
    value: Any = None,
) -> tuple[list[tuple[Opening, StartKey | None]], list[DeadLetter], list[Decision]]:
    """The runs that ``event`` starts, ready to be opened, a dead letter for each that cannot be, and what is decided
    about it besides.

    ``only``: consider the subscription of that name alone. ``reference``: where its data are kept. ``value``: what they
    say, decoded, where that is known. Raises ``Overloaded`` when nothing can be opened now.
    """
    started = asks_for(desk, event, actor, only, cleared, value)
    failed = started.failed
    opened: list[tuple[Opening, StartKey | None]] = []
    for one in started.asks:
        try:
            given = reference if one.ask.of_event else None
            opening = desk.engine.prepare(one.ask, claimed=True, reference=given)
        except Overloaded:
            # It would be taken in a moment, or by another node: the sender is to ask again.
            raise
        except RcoError as problem:
            failed.append((one.subscription, str(problem)))
            continue
        key = one.ask.key or ""
        own = StartKey(event.namespace, key, b"", opening.row.run_id) if one.keyed else None
        opened.append((opening, own))
    for name, _ in failed:
        desk.metrics.counter(signals.DEAD_LETTERS, subscription=letter_label(name)).add()
    if not failed:
        return opened, [], started.decisions
    letters = [
        DeadLetter(letter_id=desk.ids.uuid7(), event=event, subscription=name, cause=cause, at_us=desk.clock.now_us())
        for name, cause in failed
    ]
    return opened, letters, started.decisions


def admission_of(
    event: Event | None,
    opened: list[tuple[Opening, StartKey | None]],
    letters: list[DeadLetter],
    claim: Claim | None,
    accepted: list[Decision],
    duplicate: list[Decision],
    reference: Reference | None = None,
) -> Admission:
    """The admission that opens ``opened`` for ``event`` if ``claim`` is free. ``reference``: where its data are kept;
    event and letters are written with that instead."""
    plain = [opening for opening, own in opened if own is None]
    payloads = [use for opening, _ in opened for use in opening.payloads]
    if reference is not None:
        if event is not None:
            payloads.append(use_by_event(reference, event))
            event = replace(event, data=reference.encoded())
        letters = [replace(one, event=replace(one.event, data=reference.encoded())) for one in letters]
        payloads += [use_by_letter(reference, one) for one in letters]
    return Admission(
        done=_later,
        failed=_later,
        claim=claim,
        event=event,
        opened=[(opening.row, opening.segment) for opening in plain],
        keyed=[(own, opening.row, opening.segment, opening.decision) for opening, own in opened if own is not None],
        letters=letters,
        accepted=[*accepted, *(opening.decision for opening in plain)],
        payloads=payloads,
        duplicate=duplicate,
    )


def begin_opened(desk: Desk, outcome: Admitted, opened: list[tuple[Opening, StartKey | None]]) -> None:
    """Run the code of what was opened. Called in the commit's own turn."""
    if outcome.status != "accepted":
        return
    for opening, own in opened:
        if own is None or opening.row.run_id not in outcome.skipped:
            desk.engine.begin(opening)


def _later(_: Any) -> None:
    """Replaced when the admission is submitted."""
