"""Operations that only write: emitted events, published state, marks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.engine.live import Live
from rco.engine.opening import Opening, Openings
from rco.engine.operation import Emit, Mark
from rco.engine.owner import Owner
from rco.errors import RcoError
from rco.kit.canonical import canonical_json
from rco.kit.ids import id_text
from rco.model.event import Event
from rco.model.journal import Kind, Record
from rco.model.letter import DeadLetter
from rco.store.contract.changes import Admission, Admitted, StartKey

__all__ = ["Ask", "Emitting", "Started", "Starts"]


class Ask(msgspec.Struct, frozen=True):
    """A subscription's ask for a run. ``keyed``: only if no run was started under the ask's key before."""

    subscription: str
    ask: StartAsk
    keyed: bool


class Started(msgspec.Struct, frozen=True):
    """What an event starts: asks for runs, and (subscription, cause) where a filter could not be evaluated."""

    asks: list[Ask]
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
        for one in started.asks:
            try:
                opening = self._openings.prepare(one.ask, claimed=True)
            except RcoError as problem:
                started.failed.append((one.subscription, str(problem)))
                continue
            self._open(live, opening, one)
        for subscription, cause in started.failed:
            for listener in owner.on_letter:
                listener(subscription)
            changes.letters.append(
                DeadLetter(letter_id=owner.ids.uuid7(), event=event, subscription=subscription, cause=cause, at_us=now)
            )
        owner.append(live, Record(Kind.EMIT, op.key, now, op.fp, [event.id, event.type, event.subject]))

    def _open(self, live: Live, opening: Opening, one: Ask) -> None:
        changes = self._owner.writer.changes(live.shard)
        if one.keyed:
            # Whether the key is free is known only in the transaction, so this part of it is conditional.
            key = StartKey(live.namespace, one.ask.key or "", b"", opening.row.run_id)
            changes.admissions.append(
                Admission(
                    done=partial(self._admitted, opening),
                    failed=_lost,
                    keyed=[(key, opening.row, opening.segment, opening.decision)],
                )
            )
            return
        changes.opened.append(opening.row)
        changes.opened_segments.append((opening.row.run_id, opening.segment))
        changes.decisions.append(opening.decision)
        changes.then.append((self._openings.begin, (opening,)))

    def _admitted(self, opening: Opening, outcome: Admitted) -> None:
        if opening.row.run_id not in outcome.skipped:
            self._openings.begin(opening)

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


def _lost(_: BaseException) -> None:
    """The whole transaction is lost, the run that emitted with it; the node stops."""
