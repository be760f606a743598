"""A dead letter: an event that could not be delivered to somebody who wants it."""

from __future__ import annotations

import msgspec

from rco.model.event import Event

__all__ = ["DeadLetter"]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Keeps the event, the subscription that could not take it and the cause, until it is replayed or dropped."""

    letter_id: bytes
    event: Event
    subscription: str
    cause: str
    at_us: int
    replayed_us: int | None = None
