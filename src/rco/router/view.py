"""What an expression sees of an event."""

from __future__ import annotations

import msgspec

from rco.errors import ExpressionFailed
from rco.kit.clock import iso
from rco.model.event import Event

__all__ = ["EventView"]


class EventView:
    """The JSON of ``{"id", "source", "type", "subject", "time", "data"}``, made when first asked for and only once."""

    __slots__ = ("_event", "_failed", "_text")

    def __init__(self, event: Event) -> None:
        self._event = event
        self._text: str | None = None
        self._failed: str | None = None

    def json(self) -> str:
        """The text. An event without data has ``null``. Raises ``ExpressionFailed`` when its data is not JSON."""
        if self._text is None:
            if self._failed is None:
                self._make()
            if self._failed is not None:
                raise ExpressionFailed(self._failed, cure="Only a subscription without where and key takes such data.")
        return self._text or ""

    def _make(self) -> None:
        event = self._event
        try:
            # Decoded, not pasted in: text that is not one JSON value could otherwise add fields to the event.
            data = msgspec.json.decode(event.data) if event.data else None
            text = msgspec.json.encode(
                {
                    "id": event.id,
                    "source": event.source,
                    "type": event.type,
                    "subject": event.subject,
                    "time": iso(event.time_us),
                    "data": data,
                }
            )
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
            self._failed = f"the event has no JSON form ({type(error).__name__})"
        else:
            self._text = text.decode()
