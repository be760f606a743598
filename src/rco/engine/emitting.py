"""Operations that only write: emitted events, published states, marks."""

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
from rco.engine.referring import Referring
from rco.errors import RcoError
from rco.kit.canonical import canonical_json
from rco.kit.ids import id_text
from rco.model.decision import Decision
from rco.model.event import Event
from rco.model.journal import Kind, Record, encode_body
from rco.model.letter import DeadLetter
from rco.model.payload import Reference, as_value
from rco.store.contract.changes import Admission, Admitted, StartKey
from rco.store.contract.payloads import PayloadUse, UserKind

__all__ = ["Ask", "Emitting", "Started", "Starts", "use_by_event", "use_by_letter"]


class Ask(msgspec.Struct, frozen=True):
    """A subscription's ask for a run. ``keyed``: only if no run was started under the ask's key before."""

    subscription: str
    ask: StartAsk
    keyed: bool


class Started(msgspec.Struct, frozen=True):
    """What an event starts: asks for runs, and (subscription, cause) where a filter could not be evaluated."""

    asks: list[Ask]
    failed: list[tuple[str, str]]
    decisions: list[Decision] = []
    """What is decided besides: they stand in the commit of the event."""


_pack = msgspec.msgpack.Encoder().encode
Starts = Callable[[Event], Started]
"""Which runs an event starts. Poured in: the engine knows no subscriptions."""


class Emitting:
    """Arms emits and marks. An emitted event, the runs it starts and the waits it answers are one commit."""

    def __init__(self, owner: Owner, openings: Openings, starts: Starts) -> None:
        self._owner = owner
        self._openings = openings
        self._starts = starts
        self.referring: Referring | None = None
        """Who keeps data that are too large for a row."""

    def arm(self, live: Live, op: Any) -> None:
        owner = self._owner
        now = owner.clock.now_us()
        if type(op) is Mark:
            self._mark(live, op, Record(op.kind, op.key, now, op.fp, op.body))
            return
        event = kept = self._event(live, op, now)
        reference = None
        if len(event.data) > owner.over_bytes and self.referring is not None:
            if op.kept is None:
                self.referring.first(live, op, event.data, json=True)
                return
            reference = op.kept.reference
        changes = owner.changes(live.run_id, live.shard)
        if reference is not None:
            kept = msgspec.structs.replace(event, data=reference.encoded())
            changes.payloads.append(use_by_event(reference, event))
        changes.events.append(kept)
        started = self._starts(event)
        changes.decisions += started.decisions
        for one in started.asks:
            try:
                given = reference if one.ask.of_event else None
                opening = self._openings.prepare(one.ask, claimed=True, reference=given)
            except RcoError as problem:
                started.failed.append((one.subscription, str(problem)))
                continue
            self._open(live, opening, one)
        for subscription, cause in started.failed:
            for listener in owner.on_letter:
                listener(subscription)
            letter = DeadLetter(
                letter_id=owner.ids.uuid7(), event=kept, subscription=subscription, cause=cause, at_us=now
            )
            changes.letters.append(letter)
            if reference is not None:
                changes.payloads.append(use_by_letter(reference, letter))
        owner.append(live, Record(Kind.EMIT, op.key, now, op.fp, [event.id, event.type, event.subject]))

    def _mark(self, live: Live, op: Mark, record: Record) -> None:
        owner = self._owner
        packed = _pack(record)
        if len(packed) > owner.over_bytes and op.kind == Kind.STATE and self.referring is not None:
            name, value = op.body
            if op.kept is None and len(data := _pack(value)) > owner.over_bytes:
                self.referring.first(live, op, data)
                return
            if op.kept is not None and op.kept.reference is not None:
                owner.use(live.shard, live.run_id, live.namespace, op.kept.reference)
                packed = encode_body(record, [name, as_value(op.kept.reference)])
        owner.append(live, record, packed)

    def _open(self, live: Live, opening: Opening, one: Ask) -> None:
        changes = self._owner.changes(live.run_id, live.shard)
        changes.payloads.extend(opening.payloads)
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
        """Emits and marks resolve as they are armed; only data that are being kept can be pending."""
        keeping = live.tasks.pop(op.key, None)
        if keeping is not None:
            keeping.cancel()

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
            trace=live.span,
        )


def use_by_event(reference: Reference, event: Event) -> PayloadUse:
    """That ``event`` refers to its data."""
    who = event.id.encode("utf-8", "surrogatepass")
    return PayloadUse(reference.name, UserKind.EVENT, who, event.namespace, reference.size_bytes)


def use_by_letter(reference: Reference, letter: DeadLetter) -> PayloadUse:
    """That ``letter`` refers to its event's data."""
    return PayloadUse(reference.name, UserKind.LETTER, letter.letter_id, letter.event.namespace, reference.size_bytes)


def _lost(_: BaseException) -> None:
    """The whole transaction is lost, the run that emitted with it; the node stops."""
