"""Bodies of the control API about events and dead letters; see ``rco.model.wire``."""

from __future__ import annotations

from typing import Any

from rco.model.body import Ask, Reason, View

__all__ = ["DismissAsk", "EventBrief", "EventPage", "EventView", "LetterDetail", "LetterPage", "LetterView", "Replayed"]


class EventBrief(View, frozen=True, kw_only=True):
    """One accepted event in a list: its CloudEvents attributes without its data."""

    id: str
    source: str
    type: str
    received_at: str
    time: str
    corr_id: str
    subject: str | None = None
    origin: str = ""


class EventPage(View, frozen=True, kw_only=True):
    """Events, newest first."""

    items: list[EventBrief]
    next: str | None = None


class EventView(EventBrief, frozen=True, kw_only=True):
    """One event with its data, as it was verified."""

    data: Any = None


class LetterView(View, frozen=True, kw_only=True):
    """One dead letter."""

    id: str
    subscription: str
    cause: str
    at: str
    event: EventBrief
    replayed_at: str | None = None


class LetterPage(View, frozen=True, kw_only=True):
    """Dead letters, newest first."""

    items: list[LetterView]
    next: str | None = None


class LetterDetail(LetterView, frozen=True, kw_only=True):
    """One dead letter with its event's data."""

    event: EventView


class DismissAsk(Ask, frozen=True, kw_only=True):
    """Take the letter off the list; ``reason`` stands in the evidence."""

    reason: Reason = ""


class Replayed(View, frozen=True, kw_only=True):
    """What a replay led to: how many runs it opened. 0: nobody wants the event, or all who do took it already."""

    opened: int
