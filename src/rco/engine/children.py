"""Child runs: opened with the parent's own commit, reported back with their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.engine.live import Live
from rco.engine.machine import Machine
from rco.engine.operation import ChildRun
from rco.engine.owner import Owner
from rco.engine.program import Programs
from rco.engine.referring import Referring
from rco.engine.waiting import Waits
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_body
from rco.model.message import Message
from rco.model.payload import as_value
from rco.model.run import Mode, Outcome, RunRow
from rco.model.version import is_pin

__all__ = ["Children", "Inherit", "as_it_is"]

Inherit = Callable[[Any, bytes, bytes], Any]
"""From what a run holds, its identity and its child's to what the child holds. Poured in; must not raise."""
_pack = msgspec.msgpack.Encoder().encode


def as_it_is(grant: Any, parent: bytes, child: bytes) -> Any:  # noqa: ARG001 - whoever they are
    """What a child holds where nobody looks at it: the same."""
    return grant


class Children:
    """Opens children and tells parents how they closed."""

    def __init__(self, owner: Owner, programs: Programs, waits: Waits, inherit: Inherit) -> None:
        self._owner = owner
        self._programs = programs
        self._waits = waits
        self._inherit = inherit
        self.referring: Referring | None = None
        """Who keeps inputs that are too large for the journal."""
        owner.on_close.append(self._tell_parent)

    def arm(self, live: Live, op: ChildRun[Any]) -> None:
        owner = self._owner
        if op.run_id is not None:
            return
        now = owner.clock.now_us()
        # What a parent hands over fits the code it was written with, so a child begins with its parent's version.
        program = self._programs.find(op.workflow, live.version) or self._programs.find(op.workflow)
        run_id = owner.ids.uuid7(live.run_id[15])
        start = {
            "workflow": op.workflow,
            "version": program.version if program is not None else live.version if is_pin(live.version) else "",
            "input": op.input,
            "actor": f"run:{id_text(live.run_id)}",
            "corr_id": live.corr_id,
            "trace": live.span,
            "namespace": live.namespace,
            "parent": live.run_id,
            "parent_key": op.key,
        }
        if live.grant is not None:
            start["grant"] = self._inherit(live.grant, live.run_id, run_id)
        first = Record(Kind.START, "", now, b"", start)
        packed = encode_body(first, start)
        if len(packed) > owner.over_bytes and self.referring is not None:
            if op.kept is None and len(data := _pack(op.input)) > owner.over_bytes:
                self.referring.first(live, op, data)
                return
            if op.kept is not None and op.kept.reference is not None:
                packed = encode_body(first, {**start, "input": as_value(op.kept.reference)})
                owner.use(live.shard, run_id, live.namespace, op.kept.reference)
        machine = Machine(run_id)
        child = owner.housed(Live(run_id, machine, start, now))
        changes = owner.changes(live.run_id, live.shard)
        changes.opened.append(
            RunRow(
                run_id=run_id,
                workflow=op.workflow,
                version=start["version"],
                mode=Mode.HOT,
                opened_us=now,
                namespace=live.namespace,
                parent=live.run_id,
                corr_id=live.corr_id,
            )
        )
        changes.decisions.append(
            Decision(
                verb=Verb.START,
                at_us=now,
                actor=start["actor"],
                subject=op.workflow,
                run=id_text(run_id),
                corr_id=live.corr_id,
            )
        )
        owner.append(live, Record(Kind.CHILD, op.key, now, op.fp, [run_id, op.workflow]))
        if not owner.ownership.owns(child.shard):
            # Of another version than its parent, as that has no such workflow: the keeper hands it to its owner.
            changes.opened_segments.append((run_id, len(packed).to_bytes(4, "big") + packed))
            return
        owner.opened(child)
        owner.append(child, first, packed)
        if program is None:
            owner.loop.call_soon(owner.block, child, {"cause": "no such workflow", "message": op.workflow})
            return
        # Begun after this commit was collected, not within the parent's own driving.
        owner.loop.call_soon(self._begin, child, program.begin, start, now)

    def _begin(self, child: Live, begin: Any, start: dict[str, Any], now: int) -> None:
        if not child.ending:
            child.machine.begin(lambda machine: begin(machine, child.run_id, start), now)
            self._owner.drive(child)

    def drop(self, live: Live, op: ChildRun[Any]) -> None:
        """Nobody waits for the child any more: cancel it."""
        if op.run_id is None:
            keeping = live.tasks.pop(op.key, None)
            if keeping is not None:
                keeping.cancel()
            return
        owner = self._owner
        now = owner.clock.now_us()
        body = _pack({"reason": "its parent let it go", "actor": f"run:{id_text(live.run_id)}"})
        message = Message(op.run_id, f"drop:{op.key}", "cancel", "cancel", body, now, live.namespace)
        owner.changes(live.run_id, live.shard).messages.append(message)

    def _tell_parent(self, live: Live, outcome: Outcome, value: Any) -> None:
        if live.parent is None:
            return
        owner = self._owner
        result = [outcome.value, value]
        stored: list[Any] | None = None
        if live.kept is not None and live.kept.reference is not None:
            stored = [outcome.value, as_value(live.kept.reference)]
            owner.use(live.shard, live.parent, live.namespace, live.kept.reference)
        message_id = f"child:{id_text(live.run_id)}"
        parent = owner.live.get(live.parent)
        if parent is not None and not parent.ending:
            op = parent.machine.pending.get(live.parent_key)
            if type(op) is ChildRun and op.run_id == live.run_id:
                # Both are here: the child's end and the parent's knowledge of it are one commit.
                self._waits.take_child(parent, op, message_id, result, stored)
                # It is driven on in a later turn, which may be a later commit; what it let go by this is part of this.
                owner.let_go(parent)
                owner.loop.call_soon(self._drive, parent)
                return
        owner.changes(live.run_id, live.shard).messages.append(
            Message(
                live.parent,
                message_id,
                "child",
                live.parent_key,
                _pack(result if stored is None else stored),
                owner.clock.now_us(),
                live.namespace,
            )
        )

    def _drive(self, parent: Live) -> None:
        if not parent.ending:
            self._owner.drive(parent)
