"""One transaction on the tables of a model database: the semantics of a keeper.

Written from the contract and not from the SQL, so that the two check each other in the conformance suite.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from rco.errors import Fenced, StoreError
from rco.kit.clock import iso
from rco.model.event import Event
from rco.model.journal import decode_segment
from rco.model.message import BEGIN, HANDED, NOTHING, Message
from rco.model.payload import is_reference
from rco.model.queue import queue_shard
from rco.model.run import SHARDS, Mode, RunRow, shard_of
from rco.model.version import is_pin
from rco.store.contract.changes import Admission, Admitted, Claim, Draft, Ended, Waiter
from rco.store.contract.queues import ItemChange, ItemDone
from rco.store.contract.reader import Segment
from rco.store.contract.retaining import Removed
from rco.store.contract.writer import Flushed, Sealer
from rco.store.quota import refusal
from rco.testing.table_attributes import change_attributes
from rco.testing.table_payloads import refer
from rco.testing.table_queues import change_queues, granting_shards, put_items, returning
from rco.testing.table_quotas import ModelQuotas
from rco.testing.table_schedules import changed_schedules
from rco.testing.table_staged import stage
from rco.testing.tables import Appended, Batch, Committed, Granted, Returned, Rewound, Tables

__all__ = ["Transaction", "event_body", "fence"]

LOOK_BACK_LIMIT = 100
_pack = msgspec.msgpack.Encoder().encode


class Transaction:
    """One batch being written. Everything that can refuse it is asked before anything is changed."""

    def __init__(self, tables: Tables, batch: Batch, sealer: Sealer, now_s: float) -> None:
        self._tables, self._batch, self._sealer, self._now_s = tables, batch, sealer, now_s
        changes = batch.changes
        self._messages = list(changes.messages)
        self._events = list(changes.events)
        self._opened = list(changes.opened)
        self._keys = list(changes.start_keys)
        self._letters = list(changes.letters)
        self._decisions = list(changes.decisions)
        self._claims: list[Claim] = []
        self._schedules = tables.schedules
        """As they are after the admissions so far; put in place once nothing can refuse the batch."""
        self._woken: dict[bytes, int] = {}
        self._turns: list[bytes] = []
        self._quotas: ModelQuotas | None = None

    def write(self) -> Committed:
        """Write it all. Raises ``Fenced``, ``Rewound``, ``StoreError``; nothing is changed then."""
        tables, batch = self._tables, self._batch
        changes = batch.changes
        fence(tables, batch)
        if tables.head(batch.chain) != batch.after:
            raise Rewound(f"chain {batch.chain} stands at {tables.head(batch.chain)[0]}, not at {batch.after[0]}.")
        n = batch.after[0] + 1
        admitted, starts = self._admit()
        drafts = [(draft, b"".join(draft.parts)) for draft in changes.drafts if draft.parts]
        drafts += [(_first(run_id, data), data) for run_id, data in (*changes.opened_segments, *starts)]
        segments = [Segment(draft.run_id, draft.first_seq, n, data) for draft, data in drafts]
        self._must_fit(segments)

        opened = {row.run_id: row for row in self._opened}
        for (draft, _), segment in zip(drafts, segments, strict=True):
            tables.journal.setdefault(draft.run_id, []).append(segment)
            owned = opened.get(draft.run_id) or tables.row(draft.run_id)
            # What a fail-over lost is said to be where it was.
            said = changes.homes.get(draft.run_id, shard_of(draft.run_id))
            shard = said if owned is None else tables.home(draft.run_id, owned)
            epoch = batch.epoch if batch.fence is None else batch.fence.get(shard, -1)
            lease = tables.leases[shard]
            count = draft.records or len(draft.parts)
            tables.counts[draft.run_id] = tables.counts.get(draft.run_id, 0) + count
            tables.appended.append(
                Appended(draft.run_id, draft.first_seq, count, batch.writer, epoch, lease, self._now_s, shard)
            )
        self._hand_over()
        tables.segments[batch.chain, n] = segments
        self._runs()
        self._inbox()
        for ended in changes.ended:
            self._end(ended)
        change_attributes(tables.attributes, self._opened, changes.attributes)
        refer(tables, changes.payloads)
        stage(tables, changes.staged)
        told, tables.arrivals = put_items(tables.items, self._opened, tables.arrivals)
        tables.returned += [Returned(one, self._now_s) for one in returning(tables.items, changes.queues)]
        told |= change_queues(tables.items, tables.queue_states, changes.queues)
        self._woken.update(dict.fromkeys(sorted(told), 0))
        for one in changes.queues:
            if isinstance(one, ItemChange) and one.done is ItemDone.GRANT and one.run_id in tables.items:
                epoch = tables.leases[queue_shard(one.queue)][1]
                tables.granted.append(Granted(tables.items[one.run_id], epoch, self._now_s))
        refused = self._rest()
        removed: list[Removed] = []
        for drop in batch.drops:
            gone, record = drop(tables, self._now_s)
            removed.append(gone)
            self._decisions += record
        decisions = self._decisions + batch.notes
        seal = self._sealer.seal(
            writer=batch.writer,
            n=n,
            epoch=batch.epoch,
            at_us=batch.at_us,
            prev=batch.after[1],
            leaves=b"".join(self._sealer.leaf(one.run_id, one.first_seq, one.data) for one in segments),
            decisions=decisions,
        )
        tables.chains.setdefault(batch.chain, []).append(seal)
        flushed = Flushed(
            n,
            sum(draft.records or len(draft.parts) for draft, _ in drafts),
            sum(len(data) for _, data in drafts),
            0.0,
            (*self._woken, *[run_id for run_id in self._turns if self._woken[run_id] > 1]),
            len(decisions),
        )
        committed = Committed(admitted, refused, seal, flushed, removed)
        tables.results[batch.token] = committed
        return committed

    # -- admissions ------------------------------------------------------------------------------------------------

    def _admit(self) -> tuple[list[Admitted], list[tuple[bytes, bytes]]]:
        tables, changes, now_us = self._tables, self._batch.changes, self._batch.at_us
        if not (changes.admissions or self._messages):
            return [], []
        is_open = set(tables.runs) | {row.run_id for row in changes.opened}
        is_open -= {ended.run_id for ended in changes.ended}
        self._messages = [message for message in self._messages if message.run_id in is_open]
        claims = {digest: claim for digest, claim in tables.claims.items() if claim.expires_us > now_us}
        held = {name: (key.request, key.run_id) for name, key in tables.keys.items()}
        for key in changes.start_keys:
            held.setdefault((key.namespace, key.key), (key.request, key.run_id))
        starts: list[tuple[bytes, bytes]] = []
        told: list[Admitted] = []
        self._quotas = ModelQuotas(tables, changes, now_us)
        for admission in changes.admissions:
            refused, before = _refused(admission, claims, held, is_open), self._schedules
            if refused is None and admission.schedules:
                changed = changed_schedules(self._schedules, admission.schedules)
                if changed is None:
                    refused = Admitted("stale")
                else:
                    self._schedules = changed
            if refused is None and self._quotas.asked:
                refused = self._quotas.admit(admission, held)
            if refused is not None and refused.status == "quota":
                self._schedules = before
                self._decisions += refusal(admission, refused)
                told.append(refused)
                continue
            if refused is not None:
                told.append(refused)
                self._decisions += admission.duplicate if refused.status == "duplicate" else admission.otherwise
                continue
            skipped: list[bytes] = []
            if admission.claim is not None:
                self._claims.append(admission.claim)
                if admission.claim.expires_us > now_us:
                    claims[admission.claim.digest] = admission.claim
            for key in admission.start_keys:
                held[key.namespace, key.key] = (key.request, key.run_id)
                self._keys.append(key)
            opened = list(admission.opened)
            self._decisions += admission.accepted
            for key, row, segment, decision in admission.keyed:
                if held.setdefault((key.namespace, key.key), (key.request, key.run_id))[1] != key.run_id:
                    skipped.append(row.run_id)
                    continue
                self._keys.append(key)
                self._decisions.append(decision)
                opened.append((row, segment))
            for row, segment in opened:
                is_open.add(row.run_id)
                self._opened.append(row)
                starts.append((row.run_id, segment))
            if admission.event is not None:
                self._events.append(admission.event)
            self._messages += admission.messages
            self._letters += admission.letters
            told.append(Admitted("accepted", skipped=tuple(skipped)))
        return told, starts

    def _must_fit(self, segments: list[Segment]) -> None:
        for segment in segments:
            if any(other.first_seq == segment.first_seq for other in self._tables.journal.get(segment.run_id, ())):
                raise StoreError(f"Run {segment.run_id.hex()} has a segment {segment.first_seq} already.")
        for row in self._opened:
            if self._tables.row(row.run_id) is not None:
                raise StoreError(f"Run {row.run_id.hex()} is there already.")

    # -- rows ------------------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Tell the owners of runs that are theirs from now on."""
        tables, batch = self._tables, self._batch
        if batch.fence is None or len(tables.leases) == SHARDS:
            return
        runs = [row.run_id for row in self._opened if _others(tables, row, batch.fence)]
        for run_id, version in batch.changes.versions:
            if tables.leases[tables.of_pools.home(run_id, version)][0] != batch.writer:
                runs.append(run_id)
        self._messages += [Message(run_id, HANDED, HANDED, HANDED, NOTHING, batch.at_us) for run_id in runs]

    def _runs(self) -> None:
        tables = self._tables
        tables.schedules = self._schedules
        if self._quotas is None:
            self._quotas = ModelQuotas(tables, self._batch.changes, self._batch.at_us)
        tables.counted = self._quotas.counted()
        for claim in self._claims:
            tables.claims[claim.digest] = claim
        for row in self._opened:
            tables.runs[row.run_id] = msgspec.structs.replace(row, place=None, attributes=())
        for key in self._keys:
            tables.keys.setdefault((key.namespace, key.key), key)
        for moved in self._batch.changes.moved:
            known = tables.runs.get(moved.run_id)
            if known is None:
                continue
            tables.runs[moved.run_id] = msgspec.structs.replace(known, mode=moved.mode, detail=moved.detail)
            tables.timers.pop(moved.run_id, None)
            if moved.mode is Mode.PARKED and moved.due_us is not None:
                tables.timers[moved.run_id] = moved.due_us
        for run_id, version in self._batch.changes.versions:
            if run_id in tables.runs:
                tables.runs[run_id] = msgspec.structs.replace(tables.runs[run_id], version=version)

    def _inbox(self) -> None:
        tables, changes = self._tables, self._batch.changes
        gone = set(changes.waiters_gone)
        ending = {ended.run_id for ended in changes.ended}
        for pair in changes.waiters_gone:
            tables.waiters.pop(pair, None)
        new = [one for one in changes.waiters if one.run_id not in ending and (one.run_id, one.key) not in gone]
        for event in self._events:
            # In the order of the waiters' identities, as from an index.
            for _, waiter in sorted(tables.waiters.items(), key=lambda item: item[0]):
                if waiter.run_id not in ending and _wants(waiter, event):
                    self._messages.append(self._told(waiter, event))
        tables.events += self._events
        for waiter in new:
            tables.waiters.setdefault((waiter.run_id, waiter.key), waiter)
        for waiter in new:
            if waiter.subject is not None:
                found = [one for one in tables.events if _wants(waiter, one) and one.received_us >= waiter.since_us]
                found.sort(key=lambda event: event.received_us)
                self._messages += [self._told(waiter, event) for event in found[:LOOK_BACK_LIMIT]]
        for message in self._messages:
            self._woken[message.run_id] = self._woken.get(message.run_id, 0) + 1
            if message.kind == BEGIN:
                self._turns.append(message.run_id)
            tables.messages.setdefault(message.run_id, {}).setdefault(message.message_id, message)
        for run_id, message_id in changes.taken:
            tables.messages.get(run_id, {}).pop(message_id, None)

    def _told(self, waiter: Waiter, event: Event) -> Message:
        body = event_body(event)
        message_id = f"event:{event.source}:{event.id}"
        return Message(waiter.run_id, message_id, "event", waiter.key, body, self._batch.at_us)

    def _end(self, ended: Ended) -> None:
        tables = self._tables
        row = tables.runs.pop(ended.run_id, None)
        if row is not None:
            tables.closed[ended.run_id] = msgspec.structs.replace(
                row, mode=Mode.CLOSED, closed_us=ended.closed_us, outcome=ended.outcome, detail=ended.detail
            )
        tables.timers.pop(ended.run_id, None)
        unread = tables.messages.pop(ended.run_id, {})
        left = {name: message for name, message in unread.items() if message.kind == "signal"}
        if left:
            tables.messages[ended.run_id] = left
        for pair in [pair for pair in tables.waiters if pair[0] == ended.run_id]:
            del tables.waiters[pair]

    def _rest(self) -> list[bool]:
        tables = self._tables
        for letter in self._letters:
            tables.letters[letter.letter_id] = letter
        for letter_id, at_us in self._batch.changes.letters_replayed:
            known = tables.letters.get(letter_id)
            if known is not None:
                tables.letters[letter_id] = msgspec.structs.replace(known, replayed_us=at_us)
        refused: list[bool] = []
        for principal, token in self._batch.principals:
            taken = any(held == token and who != principal.principal_id for who, (_, held) in tables.principals.items())
            refused.append(taken)
            if not taken:
                tables.principals[principal.principal_id] = (principal, token)
        return refused


def fence(tables: Tables, batch: Batch) -> None:
    """Raise ``Fenced`` when somebody else owns what ``batch`` writes for."""
    if batch.fence is None:
        if any(epoch != batch.epoch for _, epoch in tables.leases):
            raise Fenced(f"The database has a newer owner than epoch {batch.epoch}.", cure="Stop this node.")
        return
    for shard in _touched(tables, batch):
        owner, epoch = tables.leases[shard]
        if owner != batch.writer or epoch != batch.fence.get(shard):
            raise Fenced(f"Shard {shard} is owned by {owner or 'nobody'} under epoch {epoch}.", cure="Stop this node.")


def _touched(tables: Tables, batch: Batch) -> set[int]:
    """Shards for which rows are written that only their owner may write."""
    changes, fence = batch.changes, batch.fence or {}
    opened = list(changes.opened)
    for admission in changes.admissions:
        opened += [row for row, _ in admission.opened]
        opened += [row for _, row, _, _ in admission.keyed]
    fresh = {row.run_id: row for row in opened}
    runs = {draft.run_id for draft in changes.drafts if draft.parts}
    runs |= {one.run_id for one in changes.moved} | {one.run_id for one in changes.ended}
    runs |= {one.run_id for one in changes.waiters}
    runs |= {run_id for run_id, _ in (*changes.taken, *changes.waiters_gone, *changes.versions)}
    shards = {tables.home(row.run_id, row) for row in opened if not _others(tables, row, fence)}
    for run_id in runs:
        told = changes.homes.get(run_id, shard_of(run_id))
        row = fresh.get(run_id) or tables.row(run_id)
        # What a fail-over lost is said to be where it was.
        home = told if row is None else tables.home(run_id, row)
        # A lease that was lost meanwhile refuses it; one that counts still would let it through.
        owner, epoch = tables.leases[told]
        if told != home and owner == batch.writer and fence.get(told, epoch) == epoch:
            tables.strays.append(f"{batch.writer} wrote to run {run_id.hex()} under another lease than that of {home}")
        shards.add(home)
    for admission in changes.admissions:
        shards |= {shard_of(write.row.schedule_id) for write in admission.schedules if write.owned}
    return shards | granting_shards(changes.queues)


def _others(tables: Tables, row: RunRow, fence: dict[int, int]) -> bool:
    """Whether a run that is opened is for another node to own: of a pool that is others', or the child of such."""
    mine = fence.get(tables.home(row.run_id, row), -1) >= 0
    return (is_pin(row.version) or row.parent is not None) and not mine


def _refused(
    admission: Admission,
    claims: dict[bytes, Claim],
    held: dict[tuple[str, str], tuple[bytes, bytes]],
    is_open: set[bytes],
) -> Admitted | None:
    claim = admission.claim
    if claim is not None and claim.digest in claims:
        return Admitted("duplicate", corr_id=claims[claim.digest].corr_id)
    for key in admission.start_keys:
        holder = held.get((key.namespace, key.key))
        if holder is not None:
            return Admitted("duplicate" if holder[0] == key.request else "conflict", run_id=holder[1])
    own = {row.run_id for row, _ in admission.opened}
    for message in admission.messages:
        if message.run_id not in is_open and message.run_id not in own:
            return Admitted("closed", run_id=message.run_id)
    return None


def _wants(waiter: Waiter, event: Event) -> bool:
    return (waiter.namespace, waiter.type) == (event.namespace, event.type) and (
        waiter.subject is None or waiter.subject == event.subject
    )


def _first(run_id: bytes, data: bytes) -> Draft:
    draft = Draft(run_id, 0)
    # A fork's first segment is all that it has from the other run.
    with suppress(ValueError):
        draft.records = len(decode_segment(data))
    draft.parts.append(data)
    return draft


def event_body(event: Event) -> bytes:
    """What a workflow sees of an event, as the body of a message."""
    seen: dict[str, Any] = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": iso(event.time_us),
    }
    if is_reference(event.data):
        return _pack({**seen, "data": event.data})
    try:
        return _pack({**seen, "data": msgspec.json.decode(event.data) if event.data else None})
    except (ValueError, OverflowError, RecursionError):
        return _pack({**seen, "data": event.data.decode("utf-8", "replace")})
