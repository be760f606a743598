"""Between structs and rows, both ways, so that no other file knows the order of columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rco.kit.clock import MICROS
from rco.model.endpoint import Endpoint
from rco.model.event import Event
from rco.model.letter import DeadLetter
from rco.model.message import Message
from rco.model.namespace import NamespaceRow, NamespaceState, Quotas, Usage
from rco.model.principal import Principal, Role
from rco.model.queue import Item
from rco.model.run import Mode, Outcome, RunRow
from rco.store.contract.changes import Waiter
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.reader import EventMark, Segment
from rco.store.contract.revocations import Revocation, RevokedKind
from rco.store.contract.schedules import ScheduleRow
from rco.store.contract.snapshot import LeaseRange
from rco.store.contract.writer import Seal
from rco.store.event_message import subject_match

__all__ = [
    "CLOSED_RUNS",
    "EVENT_COLUMNS",
    "ITEM_COLUMNS",
    "LETTER_COLUMNS",
    "MESSAGE_COLUMNS",
    "NAMESPACE_COLUMNS",
    "NAMESPACE_KEY_COLUMNS",
    "OPEN_RUNS",
    "PRINCIPAL_COLUMNS",
    "REVOCATION_COLUMNS",
    "RUN_COLUMNS",
    "SCHEDULE_COLUMNS",
    "SEAL_COLUMNS",
    "SEGMENT_COLUMNS",
    "endpoint",
    "endpoint_values",
    "event",
    "event_values",
    "item",
    "item_values",
    "lease_ranges",
    "letter",
    "letter_values",
    "marked_event",
    "message",
    "namespace",
    "namespace_key",
    "namespace_key_values",
    "namespace_values",
    "principal",
    "principal_values",
    "revocation",
    "run",
    "run_values",
    "schedule",
    "schedule_values",
    "seal",
    "seal_values",
    "segment",
    "usage_at",
    "waiter_values",
]

_pack_endpoint = msgspec.msgpack.Encoder().encode
_endpoint = msgspec.msgpack.Decoder(Endpoint).decode

Row = tuple[Any, ...]

RUN_COLUMNS = "run_id, namespace, workflow, version, mode, key, parent, corr_id, opened_us, detail"
_BOTH = "run_id, namespace, workflow, version, key, parent, corr_id, opened_us, detail"
OPEN_RUNS = (
    f"SELECT {_BOTH}, CAST(mode AS integer) AS mode, CAST(NULL AS bigint) AS closed_us, CAST(NULL AS text) AS outcome"
    " FROM run"
)
CLOSED_RUNS = f"SELECT {_BOTH}, {int(Mode.CLOSED)} AS mode, closed_us, outcome FROM closed_run"
EVENT_COLUMNS = "namespace, id, source, type, subject, time_us, received_us, corr_id, origin, trace, data"
LETTER_COLUMNS = "letter_id, namespace, subscription, cause, at_us, replayed_us, event"
MESSAGE_COLUMNS = "run_id, message_id, kind, name, body, at_us"
NAMESPACE_KEY_COLUMNS = (
    "key_id, namespace, version, root_kid, wrapped, made_us, from_us, actor, reason,"
    " erased_us, erased_by, erased_why, seq"
)
REVOCATION_COLUMNS = "seq, kind, name, epoch, at_us, actor, reason"
SEAL_COLUMNS = "writer, n, epoch, at_us, prev, leaves, decisions, hash"
SEGMENT_COLUMNS = "run_id, first_seq, n, data"
SCHEDULE_COLUMNS = "schedule_id, namespace, name, origin, revision, due_us, rules, body, payload"
ITEM_COLUMNS = "run_id, queue, fair_key, priority, state, since_us, granted_us, arrival"
NAMESPACE_COLUMNS = "name, created_us, state, quotas, revision, origin"
PRINCIPAL_COLUMNS = "principal_id, name, role, namespace, namespaces, expires_us, created_us, origin"

_pack = msgspec.msgpack.Encoder().encode
DAY_S = 86_400
_quotas = msgspec.json.Decoder(Quotas).decode
_event = msgspec.msgpack.Decoder(Event).decode


def run_values(row: RunRow) -> Row:
    return (
        row.run_id,
        row.namespace,
        row.workflow,
        row.version,
        int(row.mode),
        row.key,
        row.parent,
        row.corr_id,
        row.opened_us,
        row.detail,
    )


def run(row: Row) -> RunRow:
    """A row of ``OPEN_RUNS`` or ``CLOSED_RUNS``."""
    run_id, namespace, workflow, version, key, parent, corr_id, opened_us, detail, mode, closed_us, outcome = row
    return RunRow(
        run_id=run_id,
        namespace=namespace,
        workflow=workflow,
        version=version,
        mode=Mode(mode),
        key=key,
        parent=parent,
        corr_id=corr_id,
        opened_us=opened_us,
        detail=detail,
        closed_us=closed_us,
        outcome=None if outcome is None else Outcome(outcome),
    )


def waiter_values(waiter: Waiter) -> Row:
    return (
        waiter.run_id,
        waiter.key,
        waiter.namespace,
        waiter.type,
        subject_match(waiter.subject),
        waiter.since_us,
    )


def event_values(event: Event) -> Row:
    return (
        event.namespace,
        event.id,
        event.source,
        event.type,
        event.subject,
        event.time_us,
        event.received_us,
        event.corr_id,
        event.origin,
        event.trace,
        event.data,
    )


def event(row: Row) -> Event:
    namespace, id, source, type, subject, time_us, received_us, corr_id, origin, trace, data = row
    return Event(
        id=id,
        source=source,
        type=type,
        data=data,
        time_us=time_us,
        received_us=received_us,
        corr_id=corr_id,
        subject=subject,
        namespace=namespace,
        origin=origin,
        trace=trace,
    )


def marked_event(row: Row) -> tuple[EventMark, Event]:
    """An event with its place behind its columns."""
    *known, place = row
    found = event(tuple(known))
    return (found.received_us, place), found


def letter_values(letter: DeadLetter) -> Row:
    return (
        letter.letter_id,
        letter.event.namespace,
        letter.subscription,
        letter.cause,
        letter.at_us,
        letter.replayed_us,
        _pack(letter.event),
    )


def letter(row: Row) -> DeadLetter:
    letter_id, _, subscription, cause, at_us, replayed_us, packed = row
    return DeadLetter(
        letter_id=letter_id,
        event=_event(packed),
        subscription=subscription,
        cause=cause,
        at_us=at_us,
        replayed_us=replayed_us,
    )


def message(row: Row) -> Message:
    run_id, message_id, kind, name, body, at_us = row
    return Message(run_id, message_id, kind, name, body, at_us)


def segment(row: Row) -> Segment:
    run_id, first_seq, n, data = row
    return Segment(run_id, first_seq, n, data)


def seal_values(seal: Seal) -> Row:
    return (seal.writer, seal.n, seal.epoch, seal.at_us, seal.prev, seal.leaves, seal.decisions, seal.hash)


def seal(row: Row) -> Seal:
    writer, n, epoch, at_us, prev, leaves, decisions, hash = row
    return Seal(writer=writer, n=n, epoch=epoch, at_us=at_us, prev=prev, leaves=leaves, decisions=decisions, hash=hash)


def lease_ranges(found: Iterable[Row]) -> list[LeaseRange]:
    """Neighbouring shards of one owner and epoch together; ``found`` is (shard, owner, epoch) by shard."""
    ranges: list[LeaseRange] = []
    for shard, owner, epoch in found:
        last = ranges[-1] if ranges else None
        if last is not None and (last.owner, last.epoch, last.last + 1) == (owner, epoch, shard):
            ranges[-1] = LeaseRange(last.first, shard, owner, epoch)
        else:
            ranges.append(LeaseRange(shard, shard, owner, epoch))
    return ranges


def item(row: Row) -> Item:
    return Item(*row)


def item_values(item: Item) -> Row:
    return (item.run_id, item.queue, item.key, item.priority, item.state, item.since_us, item.granted_us, item.arrival)


def principal(row: Row) -> Principal:
    principal_id, name, role, namespace, namespaces, expires_us, created_us, origin = row
    return Principal(
        principal_id=principal_id,
        name=name,
        role=Role(role),
        namespace=namespace,
        namespaces=tuple(namespaces.split()),
        expires_us=expires_us,
        created_us=created_us,
        origin=origin,
    )


def principal_values(principal: Principal, token_digest: bytes) -> Row:
    """The columns of ``PRINCIPAL_COLUMNS``, then the token's digest."""
    return (
        principal.principal_id,
        principal.name,
        principal.role.value,
        principal.namespace,
        " ".join(principal.namespaces),
        principal.expires_us,
        principal.created_us,
        principal.origin,
        token_digest,
    )


def namespace(row: Row) -> NamespaceRow:
    name, created_us, state, quotas, revision, origin = row
    return NamespaceRow(
        name=name,
        created_us=created_us,
        state=NamespaceState(state),
        quotas=_quotas(quotas),
        revision=revision,
        origin=origin,
    )


def namespace_values(row: NamespaceRow) -> Row:
    quotas = msgspec.json.encode(row.quotas).decode()
    return (row.name, row.created_us, row.state.value, quotas, row.revision, row.origin)


def usage_at(now_us: int, stored_bytes: int | None, **counted: int) -> Usage:
    """What was counted as it stands at ``now_us``: a second and a day that are over count for nothing."""
    second = now_us // MICROS
    if second > counted["second"]:
        counted |= {"second": second, "starts_second": 0}
    if second // DAY_S > counted["day"]:
        counted |= {"day": second // DAY_S, "starts_day": 0, "events_day": 0}
    return Usage(stored_bytes=stored_bytes, **counted)


def revocation(row: Row) -> Revocation:
    seq, kind, name, epoch, at_us, actor, reason = row
    return Revocation(seq=seq, kind=RevokedKind(kind), name=name, epoch=epoch, at_us=at_us, actor=actor, reason=reason)


def namespace_key_values(key: NamespaceKey) -> Row:
    """Without its number, which the keeper gives."""
    return (
        key.key_id,
        key.namespace,
        key.version,
        key.root_kid,
        key.wrapped,
        key.made_us,
        key.from_us,
        key.actor,
        key.reason,
        key.erased_us,
        key.erased_by,
        key.erased_why,
    )


def endpoint(body: bytes) -> Endpoint:
    return _endpoint(body)


def endpoint_values(one: Endpoint) -> tuple[str, int, bytes]:
    return one.endpoint_id, one.version, _pack_endpoint(one)


def namespace_key(row: Row) -> NamespaceKey:
    key_id, namespace, version, root_kid, wrapped, made_us, from_us, actor, reason, erased_us, by, why, seq = row
    return NamespaceKey(
        key_id=bytes(key_id),
        namespace=namespace,
        version=version,
        root_kid=root_kid,
        wrapped=bytes(wrapped),
        made_us=made_us,
        from_us=from_us,
        actor=actor,
        reason=reason,
        erased_us=erased_us,
        erased_by=by,
        erased_why=why,
        seq=seq,
    )


def schedule_values(row: ScheduleRow) -> Row:
    return (
        row.schedule_id,
        row.namespace,
        row.name,
        row.origin,
        row.revision,
        row.due_us,
        row.rules,
        row.body,
        row.payload,
    )


def schedule(row: Row) -> ScheduleRow:
    schedule_id, namespace, name, origin, revision, due_us, rules, body, payload = row
    return ScheduleRow(
        schedule_id=schedule_id,
        namespace=namespace,
        name=name,
        origin=origin,
        revision=revision,
        due_us=due_us,
        rules=rules,
        body=body,
        payload=payload,
    )
