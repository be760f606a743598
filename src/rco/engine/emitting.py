"""Operations that only write: emitted events, published state, marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.engine.live import Live
from rco.engine.opening import Openings
from rco.engine.operation import Emit, Mark
from rco.engine.owner import Owner
from rco.errors import RcoError
from rco.kit.canonical import canonical_json
from rco.kit.ids import id_text
from rco.model.event import Event
from rco.model.journal import Kind, Record
from rco.model.letter import DeadLetter

__all__ = ["Emitting", "Started", "Starts"]


class Started(msgspec.Struct, frozen=True):
    """What an event starts: asks for runs, and (subscription, cause) where a filter could not be evaluated."""

    asks: list[StartAsk]
    failed: list[tuple[str, str]]


Starts = Callable[[Event], Started]
"""Which runs an event starts. Poured in: the engine knows no subscriptions."""


class Emitting:
    """Arms emits and marks. An emitted event, the runs it starts and the waits it answers are one commit."""

    def __init__(self, owner: Owner, openings: Openings, starts: Starts) -> None:
        self._owner = owner
        self._openings = openings
        self._starts = starts

    def arm(self, live: Live, op: Any) -> None:
        owner = self._owner
        now = owner.clock.now_us()
        if type(op) is Mark:
            owner.append(live, Record(op.kind, op.key, now, op.fp, op.body))
            return
        event = self._event(live, op, now)
        changes = owner.writer.changes(live.shard)
        changes.events.append(event)
        started = self._starts(event)
        for ask in started.asks:
            try:
                opening = self._openings.prepare(ask, claimed=True)
            except RcoError as problem:
                started.failed.append((ask.workflow, str(problem)))
                continue
            changes.opened.append(opening.row)
            changes.opened_segments.append((opening.row.run_id, opening.segment))
            changes.decisions.append(opening.decision)
            changes.then.append((self._openings.begin, (opening,)))
        for subscription, cause in started.failed:
            changes.letters.append(
                DeadLetter(letter_id=owner.ids.uuid7(), event=event, subscription=subscription, cause=cause, at_us=now)
            )
        owner.append(live, Record(Kind.EMIT, op.key, now, op.fp, [event.id, event.type, event.subject]))

    def drop(self, live: Live, op: Any) -> None:
        """Emits and marks resolve as they are armed; nothing can be pending."""

    def _event(self, live: Live, op: Emit, now: int) -> Event:
        run = id_text(live.run_id)
        return Event(
            id=op.event_id or f"{run}:{op.key}",
            source=f"/runs/{live.workflow}",
            type=op.type,
            data=canonical_json(op.data),
            time_us=now,
            received_us=now,
            corr_id=live.corr_id,
            subject=op.subject,
            namespace=live.namespace,
            origin=f"run:{run}",
            trace=live.trace,
        )
