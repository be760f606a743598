"""A message: what of an event is sent to every endpoint that wants it, and its name."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.kit.clock import iso
from rco.kit.digest import digest, length_prefixed
from rco.model.event import Event

__all__ = ["message_id", "message_of"]


def message_id(event: Event) -> str:
    """The same for one event at every endpoint and at every repeat, so that receivers can drop what they had. An
    event's own id may hold what a header cannot, and is unique only with its source."""
    return "msg_" + digest(length_prefixed(b"rco message v1", *_identity(event)))[:16].hex()


def _identity(event: Event) -> tuple[bytes, ...]:
    return tuple(part.encode(errors="backslashreplace") for part in (event.namespace, event.source, event.id))


def message_of(event: Event) -> dict[str, Any]:
    """The body, in the shape that Standard Webhooks recommends, with what CloudEvents adds to it."""
    return {
        "type": event.type,
        "timestamp": iso(event.time_us),
        "data": msgspec.json.decode(event.data) if event.data else None,
        "id": event.id,
        "source": event.source,
        "subject": event.subject,
    }
