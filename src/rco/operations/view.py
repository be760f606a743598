"""Rows of the store as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.attribute import Attribute, shown
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.payload import BY_REFERENCE, Reference, is_reference
from rco.model.run import Mode, RunRow
from rco.model.version import named
from rco.model.wire import RunBrief, State
from rco.model.wire_events import EventBrief, EventView, LetterDetail, LetterView

__all__ = [
    "MODES_OF",
    "event_brief",
    "event_data",
    "event_view",
    "letter_detail",
    "letter_view",
    "run_brief",
    "run_detail",
    "state_of",
]

_MODES: dict[Mode, State] = {
    Mode.HOT: "running",
    Mode.PARKED: "waiting",
    Mode.BLOCKED: "blocked",
    Mode.IN_DOUBT: "in_doubt",
    Mode.PAUSED: "paused",
    Mode.QUEUED: "queued",
}
MODES_OF: dict[str, Mode] = {state: mode for mode, state in _MODES.items()}
"""By state, the mode of an open run that it stands for; the other states are outcomes."""
_OUTCOMES: dict[str, State] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "terminated": "terminated",
}


def state_of(row: RunRow) -> State:
    """One word for mode and outcome together."""
    return _OUTCOMES[row.outcome.value] if row.outcome is not None else _MODES.get(row.mode, "running")


def run_brief(row: RunRow, attributes: Iterable[Attribute] = ()) -> RunBrief:
    """A run as it stands in a list."""
    return RunBrief(
        id=id_text(row.run_id),
        workflow=row.workflow,
        version=named(row.version),
        state=state_of(row),
        opened_at=iso(row.opened_us),
        closed_at=iso(row.closed_us) if row.closed_us is not None else None,
        key=row.key,
        parent=id_text(row.parent) if row.parent is not None else None,
        corr_id=row.corr_id,
        namespace=row.namespace,
        attributes={one.name: shown(one) for one in attributes},
    )


def run_detail(row: RunRow) -> tuple[Any, dict[str, Any] | None]:
    """``(result, error)`` of a run: the error also says why an open run is blocked or in doubt."""
    if row.detail is None or row.mode is Mode.QUEUED:
        return None, None
    detail = msgspec.json.decode(row.detail)
    if not isinstance(detail, dict):
        return None, {"message": str(detail)}
    if BY_REFERENCE in detail:
        kept = {BY_REFERENCE: detail[BY_REFERENCE], "size_bytes": detail["size_bytes"]}
        return (kept, None) if detail["of"] == "result" else (None, {**detail.get("error", {}), **kept})
    if "result" in detail and len(detail) == 1:
        return detail["result"], None
    error = detail["error"] if "error" in detail and len(detail) == 1 else detail
    return None, error if isinstance(error, dict) else {"message": str(error)}


def event_brief(event: Event) -> EventBrief:
    """An event without its data."""
    return EventBrief(
        id=event.id,
        source=event.source,
        type=event.type,
        received_at=iso(event.received_us),
        time=iso(event.time_us),
        corr_id=event.corr_id,
        subject=event.subject,
        origin=event.origin,
    )


def event_view(event: Event) -> EventView:
    """An event with its data."""
    brief = msgspec.structs.asdict(event_brief(event))
    return EventView(**brief, data=event_data(event))


def event_data(event: Event) -> Any:
    """Its data as plain data; what is kept by reference, and was not fetched, as where and how large it is."""
    if is_reference(event.data):
        reference = Reference.decode(event.data)
        return {BY_REFERENCE: reference.encoded().hex(), "size_bytes": reference.size_bytes}
    return msgspec.json.decode(event.data) if event.data else None


def letter_view(letter: DeadLetter) -> LetterView:
    """A dead letter, its event without data."""
    return LetterView(event=event_brief(letter.event), **_letter(letter))


def letter_detail(letter: DeadLetter) -> LetterDetail:
    """A dead letter, its event with data."""
    return LetterDetail(event=event_view(letter.event), **_letter(letter))


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": id_text(letter.letter_id),
        "subscription": letter.subscription,
        "cause": letter.cause,
        "at": iso(letter.at_us),
        "replayed_at": iso(letter.replayed_us) if letter.replayed_us is not None else None,
    }
