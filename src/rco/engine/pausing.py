"""Pausing: a run is set aside by a record, and what comes for it stays in its inbox until it is resumed.

A paused run begins nothing: no attempt, no timer, no child, no event. Attempts that are under way are let go on to
their end, which is recorded, because a call that may not be repeated would be in doubt otherwise. Then the run leaves
memory. Resuming replays it: what was to begin meanwhile, and what fell due, begins then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.engine.effects import Effects
from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.operation import Effect
from rco.engine.owner import Owner
from rco.engine.referring import CLOSING
from rco.kit.canonical import canonical_json
from rco.model.journal import Kind, Record
from rco.model.message import Message
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Moved

__all__ = ["Pausing", "is_paused"]

_unpack = msgspec.msgpack.Decoder().decode
_ENDS_AN_ATTEMPT = (Kind.STEP_END, Kind.STEP_RETRY, Kind.IN_DOUBT)


def is_paused(records: list[Record]) -> bool:
    """Whether the last word on pausing in these records is a PAUSE."""
    for record in reversed(records):
        if record.kind == Kind.PAUSE:
            return True
        if record.kind == Kind.RESUME:
            return False
    return False


class Still(Machine):
    """Stands in for the machine of a paused run while attempts are under way: takes in how they end and runs no code.
    The journal has all of it, so the replay on resuming goes on from there."""

    __slots__ = ("_inner", "_on_record")

    def __init__(self, inner: Machine, under_way: list[str], on_record: Callable[[Record], None]) -> None:
        super().__init__(inner.run_id)
        self._inner, self._on_record = inner, on_record
        self.pending = {key: inner.pending[key] for key in under_way if key in inner.pending}

    def apply(self, record: Record) -> None:
        if record.kind in _ENDS_AN_ATTEMPT:
            self.pending.pop(record.key, None)
            self._on_record(record)

    def evict(self) -> None:
        self._inner.evict()


class Pausing:
    """Pauses runs that are in memory, and writes down that one goes on."""

    def __init__(self, owner: Owner, effects: Effects, wake: Callable[[bytes], None]) -> None:
        self._owner, self._effects, self._wake = owner, effects, wake

    def pause(self, live: Live, message: Message) -> None:
        """Take the message, write PAUSE and stop all that is armed. The run leaves memory when no attempt is under
        way any more; messages that come are not read before."""
        owner, machine = self._owner, live.machine
        for op in list(machine.pending.values()):
            if isinstance(op, Effect) and op.doubt:
                # A probe that settled it would go on.
                self._effects.drop(live, op)
            elif isinstance(op, Effect) and op.written and op.key not in live.tasks:
                self._effects.take_back(live, op)
            elif not isinstance(op, Effect) and op.key in live.tasks:
                # What it is to write is being kept; it is armed anew when the run goes on.
                live.tasks.pop(op.key).cancel()
        closing = live.tasks.pop(CLOSING, None)
        if closing is not None:
            closing.cancel()
        body = {"message_id": message.message_id, **_unpack(message.body)}
        self._taken(live, message)
        owner.append(live, Record(Kind.PAUSE, "", owner.clock.now_us(), b"", body))
        live.paused = True
        self._move(live, body)
        for handle in live.timers.values():
            handle.cancel()
        live.timers.clear()
        live.held.clear()
        still = live.machine = Still(machine, list(live.tasks), lambda _: self._ended(live, body))
        if not still.pending:
            self._at_rest(live)

    def _ended(self, live: Live, body: dict[str, Any]) -> None:
        # What became of the attempt may have moved the run; it is paused all the same.
        self._move(live, body)
        if not live.machine.pending:
            self._at_rest(live)

    def _move(self, live: Live, body: dict[str, Any]) -> None:
        told = {"cause": "paused", "message": body.get("reason") or "", "actor": body.get("actor") or ""}
        moved = Moved(live.run_id, Mode.PAUSED, None, canonical_json(told), live.namespace)
        self._owner.changes(live.run_id, live.shard).moved.append(moved)

    def _at_rest(self, live: Live) -> None:
        self._owner.changes(live.run_id, live.shard).then.append((self._leave, (live,)))

    def _leave(self, live: Live) -> None:
        if not live.ending:
            self._owner.evict(live)
        if not self._owner.draining:
            # Messages that came since were not read: one may say that it goes on.
            self._wake(live.run_id)

    def resume(self, live: Live, message: Message | None) -> None:
        """Write RESUME, before anything is armed again. ``message`` says who wanted it; none when the run was blocked
        since, and is no more."""
        owner = self._owner
        body: dict[str, Any] = {"message_id": "", "reason": "its block was lifted", "actor": "node"}
        if message is not None:
            body = {"message_id": message.message_id, **_unpack(message.body)}
            self._taken(live, message)
        owner.append(live, Record(Kind.RESUME, "", owner.clock.now_us(), b"", body))
        doubts = [op for op in live.machine.pending.values() if isinstance(op, Effect) and op.doubt]
        moved = Moved(live.run_id, Mode.HOT)
        if doubts:
            told = {"cause": "in doubt", "step": doubts[0].key, "name": doubts[0].name, "message": "it was before"}
            moved = Moved(live.run_id, Mode.IN_DOUBT, None, canonical_json(told), live.namespace)
        owner.changes(live.run_id, live.shard).moved.append(moved)

    def _taken(self, live: Live, message: Message) -> None:
        self._owner.changes(live.run_id, live.shard).taken.append((message.run_id, message.message_id))
        live.taken.add(message.message_id)

    def forget(self, row: RunRow, message: Message) -> None:
        """The message says what is so already. Left to the next owner when the shard is not owned any more."""
        shard = self._owner.home(row)
        if self._owner.ownership.owns(shard):
            self._owner.changes(row.run_id, shard).taken.append((message.run_id, message.message_id))
