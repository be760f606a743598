"""Waits: registered with the run's own commit, answered by messages that are taken exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rco.engine.effects import Effects
from rco.engine.live import Live
from rco.engine.operation import ChildRun, Effect, Wait
from rco.engine.owner import Owner
from rco.engine.timing import Timers
from rco.kit.clock import MICROS
from rco.model.journal import Kind, Record, encode_body
from rco.model.message import Message
from rco.model.payload import REFERENCE_BYTES, Reference, holds_reference, plain, references, stored_form
from rco.store.contract.changes import Waiter

__all__ = ["Waits"]

_unpack = plain
_LOADED_MIN = REFERENCE_BYTES


class Waits:
    """Arms waits and hands messages to them."""

    def __init__(self, owner: Owner, timers: Timers, effects: Effects) -> None:
        self._owner = owner
        self._timers = timers
        self._effects = effects
        self.taken = 0
        self.on_pause: Callable[[Live, Message], None] = _stay

    # -- arming ----------------------------------------------------------------------------------------------------

    def arm(self, live: Live, op: Wait[Any]) -> None:
        owner = self._owner
        if not op.noted:
            now = owner.clock.now_us()
            due_us = None if op.timeout_s is None else now + round(op.timeout_s * MICROS)
            body = {"signal": op.signal, "type": op.type, "subject": op.subject, "due_us": due_us}
            owner.append(live, Record(Kind.WAIT, op.key, now, op.fp, body))
            if op.signal is None:
                owner.changes(live.run_id, live.shard).waiters.append(
                    Waiter(live.run_id, op.key, live.namespace, op.type, op.subject, live.opened_us)
                )
        for message in live.inbox:
            if self._answers(op, message) and self._take(live, op, message):
                return
        if op.due_us is not None:
            self._timers.call_at(live, op.key, op.due_us, self._expire, live, op)

    def drop(self, live: Live, op: Wait[Any]) -> None:
        handle = live.timers.pop(op.key, None)
        if handle is not None:
            handle.cancel()
        self._gone(live, op)

    def _gone(self, live: Live, op: Wait[Any]) -> None:
        if op.signal is None:
            self._owner.changes(live.run_id, live.shard).waiters_gone.append((live.run_id, op.key))

    def _expire(self, live: Live, op: Wait[Any]) -> None:
        if live.machine.pending.get(op.key) is not op:
            return
        self._gone(live, op)
        self._owner.append(live, Record(Kind.TIMER_FIRED, op.key, self._owner.clock.now_us(), op.fp))
        self._owner.drive(live)

    # -- messages --------------------------------------------------------------------------------------------------

    def deliver(self, live: Live, message: Message) -> None:
        """Hand a committed message to the run. A second delivery of the same message has no effect."""
        if live.ending or live.paused:
            return
        if message.message_id in live.taken:
            self._forget(live, message)
            return
        if any(message.message_id == other.message_id for other in live.inbox):
            return
        if message.kind == "cancel":
            self._cancel(live, message)
            return
        if message.kind == "settle":
            self._settle(live, message)
            return
        if message.kind == "pause":
            self.on_pause(live, message)
            return
        pending = live.machine.pending
        if message.kind == "signal":
            for op in pending.values():
                if type(op) is Wait and self._answers(op, message) and self._take(live, op, message):
                    self._owner.drive(live)
                    return
            live.inbox.append(message)
            return
        waiting = pending.get(message.name)
        if type(waiting) is ChildRun and message.kind == "child":
            stored = self._referring(live, message)
            self.take_child(live, waiting, message.message_id, _unpack(message.body), stored)
            self._forget(live, message)
            self._owner.drive(live)
        elif message.kind == "event":
            self._offer(live, message)
        else:
            # Nobody waits for it any more.
            self._forget(live, message)

    def _offer(self, live: Live, message: Message) -> None:
        """Give an event to the first wait that wants it: several may wait for its type with other conditions."""
        event = _unpack(message.body)
        for op in live.machine.pending.values():
            if type(op) is Wait and _is_about(op, event) and self._take(live, op, message):
                self._owner.drive(live)
                return
        self._forget(live, message)

    def _answers(self, op: Wait[Any], message: Message) -> bool:
        return message.kind == "signal" and message.name == op.signal

    def _take(self, live: Live, op: Wait[Any], message: Message) -> bool:
        """Record the taking; the message's row goes with the same commit. False when ``where`` does not want it."""
        value = _unpack(message.body)
        if op.where is not None and not op.where(value):
            return False
        handle = live.timers.pop(op.key, None)
        if handle is not None:
            handle.cancel()
        if message in live.inbox:
            live.inbox.remove(message)
        self._forget(live, message)
        self._gone(live, op)
        self.taken += 1
        self._note_taken(live, message.message_id)
        stored = self._referring(live, message)
        self._append(live, op, [message.message_id, message.name], value, stored)
        return True

    def take_child(self, live: Live, op: ChildRun[Any], message_id: str, result: Any, stored: Any = None) -> None:
        """Record a child's result with its parent. ``stored``: the result as it is written, where it refers to
        payloads that the run is known to use."""
        self._append(live, op, [op.run_id, op.key], result, stored)
        self._note_taken(live, message_id)

    def _append(self, live: Live, op: Wait[Any] | ChildRun[Any], taken: list[Any], value: Any, stored: Any) -> None:
        record = Record(Kind.MESSAGE, op.key, self._owner.clock.now_us(), op.fp, [*taken, value])
        self._owner.append(live, record, None if stored is None else encode_body(record, [*taken, stored]))

    def _referring(self, live: Live, message: Message) -> Any:
        """The message's value with references instead of what they refer to; ``None`` where there are none."""
        body = message.body
        if len(body) < _LOADED_MIN or not holds_reference(body):
            return None
        found: list[Reference] = references(body)
        if not found:
            return None
        self._owner.use(live.shard, live.run_id, live.namespace, *found, again=True)
        return stored_form(body)

    def _note_taken(self, live: Live, message_id: str) -> None:
        live.taken.add(message_id)

    def _forget(self, live: Live, message: Message) -> None:
        self._owner.changes(live.run_id, live.shard).taken.append((live.run_id, message.message_id))

    # -- commands that come as messages ----------------------------------------------------------------------------

    def _cancel(self, live: Live, message: Message) -> None:
        self._forget(live, message)
        live.taken.add(message.message_id)
        body = {"message_id": message.message_id, **_unpack(message.body)}
        self._owner.append(live, Record(Kind.CANCEL, "", self._owner.clock.now_us(), b"", body))
        self._owner.drive(live)

    def _settle(self, live: Live, message: Message) -> None:
        self._forget(live, message)
        live.taken.add(message.message_id)
        body = _unpack(message.body)
        op = live.machine.pending.get(message.name)
        if isinstance(op, Effect) and op.doubt:
            self._effects.settle(live, op, body["verdict"], body.get("value"), body["reason"], body["actor"])


def _stay(live: Live, message: Message) -> None:
    """Until the engine says who pauses runs, the message stays."""
    del live, message


def _is_about(op: Wait[Any], event: dict[str, Any]) -> bool:
    return op.signal is None and op.type == event["type"] and op.subject in (None, event["subject"])
