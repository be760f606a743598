"""Which deliveries an event starts: one run for each endpoint that wants it."""

from __future__ import annotations

from rco.engine.ask import StartAsk
from rco.engine.emitting import Ask, Started
from rco.kit.digest import digest
from rco.model.attribute import attribute
from rco.model.endpoint import DELIVER, Endpoint
from rco.model.event import Event
from rco.telemetry import signals
from rco.telemetry.metrics import Metrics
from rco.webhooks.book import ORDERED, Book, letter_name
from rco.webhooks.message import message_id, message_of

__all__ = ["ENDPOINT", "LARGE", "MESSAGE", "add_deliveries", "order_key"]

ENDPOINT, MESSAGE = "endpoint", "message_id"
"""Attributes by which a delivery is found."""
LARGE = ("message", "data")
"""What of a delivery's input may be large: the data of its event."""


def add_deliveries(started: Started, book: Book, event: Event, actor: str, only: str | None, metrics: Metrics) -> None:
    """Add to ``started`` an ask for each endpoint that wants ``event``, a cause where its order cannot be told.

    The key of each is endpoint and event, for good: however often the event comes, it is delivered once. ``only``:
    consider the endpoint of that ``letter_name`` alone.
    """
    wanted, failed = book.match(event)
    started.failed.extend((name, cause) for name, cause in failed if only in (None, name))
    if not wanted:
        return
    message, name = message_of(event), message_id(event)
    for endpoint, key in wanted:
        letter = letter_name(endpoint.endpoint_id)
        if only not in (None, letter):
            continue
        ask = StartAsk(
            workflow=DELIVER,
            input={"endpoint": endpoint.endpoint_id, "message_id": name, "message": message},
            key=f"{DELIVER}/{endpoint.endpoint_id}:{name}",
            namespace=event.namespace,
            actor=actor,
            corr_id=event.corr_id,
            trace=event.trace,
            event_id=event.id,
            of_event=True,
            large=LARGE,
            attributes=(attribute(ENDPOINT, endpoint.endpoint_id), attribute(MESSAGE, name)),
            queue=ORDERED if key is not None else "",
            fair_key="" if key is None else order_key(endpoint, key),
        )
        started.asks.append(Ask(letter, ask, keyed=True))
        metrics.counter(signals.EVENT_MATCHES, subscription="endpoints").add()


def order_key(endpoint: Endpoint, key: str) -> str:
    """Whose turn a delivery takes: short whatever the key is, and of this endpoint alone."""
    return f"{endpoint.endpoint_id}/{digest(key.encode(errors='backslashreplace'))[:16].hex()}"
