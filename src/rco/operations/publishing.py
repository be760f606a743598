"""Publish: what subscriptions send to brokers. Decided in the commit of the event, sent by a feed that reads the chain.

The decision names the event, never what is in it: who sends it reads the event from the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.brokers.contract import Outgoing
from rco.errors import ConfigInvalid, EvidenceBroken, ExpressionFailed, PayloadErased, PayloadLocked, StoreError
from rco.kit.clock import iso
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.subscription import Subscription
from rco.router.table import publish_key
from rco.store.contract.reader import EventReader
from rco.store.contract.writer import Seal

__all__ = ["Published", "not_publishing", "publishing"]

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode = msgspec.json.Encoder().encode
_MARK = b'"verb":"publish"'


def publishing(event: Event, subscription: Subscription, now_us: int) -> Decision:
    """The decision that ``event`` goes to the broker of ``subscription``."""
    publish = subscription.publish
    assert publish is not None
    facts: dict[str, str | int | bool] = {
        "broker": publish.broker,
        "topic": publish.topic,
        "namespace": event.namespace,
        "source": event.source,
    }
    if publish.key is not None:
        facts["key"] = publish.key
    return Decision(
        verb=Verb.PUBLISH,
        at_us=now_us,
        actor=f"subscription:{subscription.name}",
        subject=subscription.name,
        event=event.id,
        corr_id=event.corr_id,
        facts=facts,
    )


def not_publishing(event: Event, subscription: Subscription, now_us: int) -> Decision:
    """The decision that it does not: no rule lets it. What the subscription would have sent is a dead letter."""
    publish = subscription.publish
    assert publish is not None
    return Decision(
        verb=Verb.REFUSE,
        at_us=now_us,
        allow=False,
        actor=f"subscription:{subscription.name}",
        subject=subscription.name,
        event=event.id,
        corr_id=event.corr_id,
        reason="publish_not_granted",
        facts={"broker": publish.broker, "topic": publish.topic, "namespace": event.namespace, "source": event.source},
    )


class Published:
    """What the links of chains tell one broker, for ``rco.relay.feed.Feed``."""

    def __init__(
        self, broker: str, events: Callable[[], EventReader], gone: Callable[[str, BaseException | None], None]
    ) -> None:
        """``gone`` hears (subscription, cause) of each message whose event is there no more: it cannot be sent."""
        self._broker, self._events, self._gone = broker, events, gone

    async def __call__(self, chain: str, seal: Seal) -> list[Outgoing]:
        """The messages of a link, in the order of its decisions; the same at each call, for as long as the events are
        there. Raises ``StoreError`` where an event cannot be read now."""
        del chain
        if _MARK not in seal.decisions:
            return []
        link = seal.hash.hex()[:40]
        told: list[Outgoing] = []
        for place, decision in enumerate(_decode(seal.decisions)):
            facts = decision.get("facts", {})
            if decision["verb"] == Verb.PUBLISH and facts.get("broker") == self._broker:
                message = await self._message(f"{link}/{place}", decision, facts)
                if message is not None:
                    told.append(message)
        return told

    async def _message(self, identity: str, decision: dict[str, Any], facts: dict[str, Any]) -> Outgoing | None:
        try:
            event = await self._events().event(facts["namespace"], decision["event"], facts["source"])
            if event is None:
                self._gone(decision["subject"], None)
                return None
            key = publish_key(event, facts.get("key", ""))
        except PayloadLocked as problem:
            # Its key may come back. To pass it over would lose it.
            raise StoreError(f"An event that is to be published cannot be read: {problem.message}") from None
        except (PayloadErased, EvidenceBroken, ExpressionFailed, ConfigInvalid) as problem:
            self._gone(decision["subject"], problem)
            return None
        return Outgoing(facts["topic"], key, identity, _body(event))


def _body(event: Event) -> bytes:
    """The event as a structured CloudEvent (1.0), with the identity that it came with."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": iso(event.time_us),
        "datacontenttype": "application/json",
        "data": msgspec.Raw(event.data) if event.data else None,
    }
    if event.subject:
        body["subject"] = event.subject
    if event.trace:
        body["traceparent"] = event.trace
    return _encode(body)
