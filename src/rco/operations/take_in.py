"""Take in: what a broker brought becomes an accepted event, or a dead letter with its cause."""

from __future__ import annotations

import base64

import msgspec

from rco.bridge.claim import Claims
from rco.brokers.contract import Incoming
from rco.errors import Forbidden, Refused
from rco.kit.clock import MICROS
from rco.kit.digest import content_address
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.delivery import Delivery
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.operations.desk import Desk
from rco.operations.receive import admission_of, receive
from rco.relay.options import SourceSettings
from rco.relay.reading import Unreadable, event_of
from rco.store.contract.changes import Admitted, Claim
from rco.telemetry import signals

__all__ = ["take_in"]

KEPT_BYTES = 64 * 1024
"""So much of a message that is no event is kept with its letter."""


async def take_in(desk: Desk, name: str, settings: SourceSettings, message: Incoming) -> None:
    """Make a message of the source ``name`` durable. A second call for the same place changes nothing.

    What is no event, and what no rule lets this source deliver, is kept as a dead letter and refused in the audit: it
    would never become better. Raises ``Overloaded`` and ``StoreError``: nothing was written, or it is not known.
    """
    now_us = desk.clock.now_us()
    corr_id = desk.ids.ulid()
    claims = Claims(f"source:{name}")
    claim = claims.of_id(message.place.encode())
    b3 = content_address(message.body)
    try:
        event = event_of(name, settings, message, now_us=now_us, corr_id=corr_id)
        delivery = Delivery(
            provider=name,
            event=event,
            claim=claim,
            claim_ttl_s=settings.dedupe_s,
            secret_id="",
            sig_alg="broker",
            b3=b3,
        )
        await receive(desk, delivery)
    except (Unreadable, Refused, Forbidden) as problem:
        await _put_aside(desk, name, settings, message, claim, str(problem), corr_id, b3)


async def _put_aside(
    desk: Desk,
    name: str,
    settings: SourceSettings,
    message: Incoming,
    claim: bytes,
    cause: str,
    corr_id: str,
    b3: str,
) -> None:
    now_us = desk.clock.now_us()
    kept = {"base64": base64.b64encode(message.body[:KEPT_BYTES]).decode(), "size_bytes": len(message.body)}
    event = Event(
        id=message.place,
        source=f"/{settings.topic}",
        type=settings.type or "rco.source.unreadable",
        data=msgspec.json.encode(kept),
        time_us=now_us,
        received_us=now_us,
        corr_id=corr_id,
        namespace=settings.namespace,
        origin=name,
    )
    letter = DeadLetter(
        letter_id=desk.ids.uuid7(), event=event, subscription=f"source:{name}", cause=cause, at_us=now_us
    )
    decision = Decision(
        verb=Verb.DEAD_LETTER,
        at_us=now_us,
        allow=False,
        actor=f"provider:{name}",
        subject=name,
        event=event.id,
        corr_id=corr_id,
        reason=cause[:200],
        b3=b3,
        facts={"letter": id_text(letter.letter_id)},
    )
    once = Claim(claim, corr_id, now_us + round(settings.dedupe_s * MICROS))
    await desk.engine.submit(0, admission_of(None, [], [letter], once, [decision], []), _nothing)
    desk.metrics.counter(signals.DEAD_LETTERS, subscription=f"source:{name}").add()


def _nothing(_: Admitted) -> None:
    """No run was opened."""
