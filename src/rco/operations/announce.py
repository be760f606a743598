"""Announce: an event of the service's own, for whoever subscribes to it."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.model.decision import Decision
from rco.model.event import Event
from rco.operations.desk import Desk
from rco.operations.receive import admission_of, begin_opened, openings
from rco.store.contract.changes import Admitted
from rco.telemetry import signals

__all__ = ["ORIGIN", "SOURCE", "announce"]

ORIGIN = "rco.bridge"
"""Rules of grants know it as ``provider:rco.bridge``; no provider can have a name with a dot."""
SOURCE = "/svc-interop"


async def announce(desk: Desk, type: str, data: dict[str, Any], decision: Decision) -> None:
    """Make an event durable, with what it starts and with ``decision``. Each call is an event of its own. Raises
    ``Overloaded`` when there is no room for what it starts, and ``StoreError``."""
    now_us = desk.clock.now_us()
    event = Event(
        id=desk.ids.ulid(),
        source=SOURCE,
        type=type,
        data=msgspec.json.encode(data),
        time_us=now_us,
        received_us=now_us,
        corr_id=desk.ids.ulid(),
        origin=ORIGIN,
    )
    opened, letters, more = openings(desk, event, f"provider:{ORIGIN}")
    desk.engine.admit(len(opened))
    recorded = msgspec.structs.replace(decision, event=event.id, corr_id=event.corr_id)
    admission = admission_of(event, opened, letters, None, [recorded, *more], [])

    def begin(outcome: Admitted) -> None:
        begin_opened(desk, outcome, opened)

    await desk.engine.submit(0, admission, begin)
    if desk.trail is not None:
        desk.trail.tell(recorded)
    desk.metrics.counter(signals.EVENTS, origin="service").add()
