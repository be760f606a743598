"""How runs end for those who wait for them, and ending one by force."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from rco.engine.aside import append_aside, ghost_of
from rco.engine.live import Live
from rco.engine.owner import Owner
from rco.engine.queueing import queue_of
from rco.errors import Conflict, NotFound, PayloadErased, PayloadLocked
from rco.kit.canonical import canonical_json
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record
from rco.model.message import Message
from rco.model.run import Mode, Outcome, RunRow
from rco.model.version import is_pin
from rco.payloads.fetching import unfetched
from rco.store.contract.changes import Changes, Ended
from rco.store.contract.queues import ItemChange, ItemDone
from rco.store.contract.reader import Reader, records_of

__all__ = ["Ending", "Finished"]


class Finished(msgspec.Struct, frozen=True):
    """A closed run: its outcome, and its result or its error as plain data."""

    outcome: Outcome
    value: Any


class Ending:
    """Tells those who wait how a run closed."""

    def __init__(self, owner: Owner, reader: Reader) -> None:
        self._owner = owner
        self._reader = reader
        self._bare = unfetched(reader)
        """For what needs no payload: a run can be ended when its payloads cannot be had."""
        self._waiting: dict[bytes, list[asyncio.Future[Finished | None]]] = {}
        owner.on_closed.append(self._closed)

    def _closed(self, live: Live, outcome: Outcome, value: Any) -> None:
        for future in self._waiting.pop(live.run_id, ()):
            if not future.done():
                future.set_result(Finished(outcome, value))

    async def result(self, run_id: bytes, timeout_s: float | None) -> Finished | None:
        future: asyncio.Future[Finished | None] = self._owner.loop.create_future()
        self._waiting.setdefault(run_id, []).append(future)
        try:
            if run_id not in self._owner.live:
                # Registered first, read second: a run that closes in between is not missed.
                row = await self._reader.run(run_id)
                if row is None:
                    raise NotFound(f"no run {id_text(run_id)}.", cure="See `rco run list`.")
                if row.mode is Mode.CLOSED and row.outcome is not None:
                    return Finished(row.outcome, _value(row.detail))
            if self._owner.ownership.covers(run_id):
                return await self._within(future, timeout_s)
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._watch(run_id, future)
            except TimeoutError:
                return None
        finally:
            waiting = self._waiting.get(run_id)
            if waiting is not None and future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._waiting[run_id]

    async def _within(self, future: asyncio.Future[Finished | None], timeout_s: float | None) -> Finished | None:
        if timeout_s is None:
            return await future
        # asyncio.timeout does more and costs five times as much; here giving up is one more result.
        handle = self._owner.loop.call_later(timeout_s, _give_up, future)
        try:
            return await future
        finally:
            handle.cancel()

    async def _watch(self, run_id: bytes, future: asyncio.Future[Finished | None]) -> Finished:
        """Another node closes this run, or may by then: look for it, ever less often."""
        pause_s = 0.02
        while True:
            row = await self._reader.run(run_id)
            if row is not None and row.mode is Mode.CLOSED and row.outcome is not None:
                return Finished(row.outcome, _value(row.detail))
            await asyncio.wait((future,), timeout=pause_s)
            if future.done() and (finished := future.result()) is not None:
                return finished
            pause_s = min(pause_s * 1.5, 1.0)

    async def terminate(
        self, row: RunRow, reason: str, decision: Decision, outcome: Outcome = Outcome.TERMINATED
    ) -> None:
        """Close the run without its code; its error says who decided it. Raises ``Conflict`` when it is closed, or is
        just being moved elsewhere."""
        owner = self._owner
        seq, parent, parent_key, queue, trace = await self._left_off(row)
        now = owner.clock.now_us()
        error = {"kind": outcome.value.capitalize(), "code": outcome.value, "message": reason}
        if decision.actor:
            error["actor"] = decision.actor
        ghost = ghost_of(owner, row)
        ghost.parent, ghost.parent_key, ghost.queue = parent, parent_key, queue
        ghost.belong(trace)

        def add(changes: Changes) -> None:
            changes.ended.append(Ended(row.run_id, outcome, now, canonical_json({"error": error}), row.namespace))
            if queue is not None:
                changes.queues.append(ItemChange(row.run_id, queue, ItemDone.GONE))
            changes.decisions.append(decision)
            for listener in owner.on_close:
                listener(ghost, outcome, error)

        def closed() -> None:
            for listener in owner.on_closed:
                listener(ghost, outcome, error)

        record = Record(Kind.CLOSE, "", now, b"", [outcome.value, error])
        await append_aside(owner, ghost, seq, record, add, closed)

    async def terminate_asked(self, row: RunRow, message: Message) -> None:
        """Another node was asked to terminate a run of this one."""
        body = msgspec.msgpack.decode(message.body)
        # Before 0.2 it was the reason alone.
        reason, actor = (body, "") if isinstance(body, str) else (body["reason"], body["actor"])
        now = self._owner.clock.now_us()
        decision = Decision(
            verb=Verb.TERMINATE,
            at_us=now,
            actor=actor,
            subject=row.workflow,
            run=id_text(row.run_id),
            corr_id=row.corr_id,
            reason=reason,
        )
        with suppress(Conflict):
            # Closed meanwhile, or about to be: then it is told again, or nothing is left to do.
            await self.terminate(row, reason, decision)

    async def cancel_queued(self, row: RunRow, message: Message) -> None:
        """A run is cancelled before it has begun: it has nothing to compensate."""
        reason = msgspec.msgpack.decode(message.body)["reason"]
        decision = Decision(
            verb=Verb.CLOSE,
            at_us=self._owner.clock.now_us(),
            allow=False,
            subject=row.workflow,
            run=id_text(row.run_id),
            corr_id=row.corr_id,
            reason=Outcome.CANCELLED.value,
        )
        with suppress(Conflict):
            await self.terminate(row, reason, decision, Outcome.CANCELLED)

    async def _left_off(self, row: RunRow) -> tuple[int, bytes | None, str, str | None, str]:
        """The run out of memory: the number of its next record, its parent, the key that this waits under, its
        queue, the trace that it is part of."""
        owner = self._owner
        while True:
            live = owner.live.get(row.run_id)
            if live is not None:
                if live.ending:
                    raise Conflict(
                        f"run {id_text(row.run_id)} is just closing or being set aside.", cure="Look at it again."
                    )
                owner.evict(live)
                return live.seq, live.parent, live.parent_key, live.queue, live.trace
            shard = owner.home(row)
            tenure = owner.tenure(shard)
            with owner.departures() as gone:
                if is_pin(row.version):
                    # Moved since the row was read, it may be another node's.
                    found = await self._reader.run(row.run_id)
                    if found is None or found.version != row.version or not owner.ownership.owns(shard):
                        raise Conflict(f"run {id_text(row.run_id)} was just moved.", cure="Look at it again.")
                try:
                    segments = await self._bare.journal(row.run_id)
                except (PayloadErased, PayloadLocked) as unreadable:
                    # Nobody can read it any more; how far it came is known, and that is enough to end it.
                    item = await self._reader.queue_item(row.run_id)
                    return unreadable.records, row.parent, "", None if item is None else item.queue, ""
            if row.run_id in gone or row.run_id in owner.live or owner.tenure(shard) != tenure:
                continue
            records = records_of(segments)
            if records and records[-1].kind == Kind.CLOSE:
                raise Conflict(f"run {id_text(row.run_id)} is closed.", cure="Nothing is left to end.")
            start = records[0].body if records else {}
            told = start.get("parent_key") or "", queue_of(start), start.get("trace") or ""
            return len(records), start.get("parent"), *told


def _give_up(future: asyncio.Future[Finished | None]) -> None:
    if not future.done():
        future.set_result(None)


def _value(detail: bytes | None) -> Any:
    if detail is None:
        return None
    told = msgspec.json.decode(detail)
    return told.get("result", told.get("error")) if isinstance(told, dict) else told
