"""Runs that wait in a queue: nothing of them is in memory, and what comes for them stays in their inbox.

A run leaves the queue by a message that its turn has come, which stands in the commit that gave it its permit. Its
owner then writes BEGIN and runs the code from there, so that the time the code sees is that of its beginning. Paused
while it waits, it keeps its place and is passed over; cancelled, it closes without its code.

Who gives turns is poured in: the engine knows where a run belongs and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rco.engine.owner import Owner
from rco.errors import Misuse
from rco.kit.canonical import canonical_json
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record
from rco.model.message import BEGIN, Message
from rco.model.queue import FAIR_KEY_CHARS_MAX, PRIORITIES, Place, Queue, fair_key_of
from rco.model.run import Mode, RunRow
from rco.model.version import is_pin, named
from rco.store.contract.changes import Changes, Moved
from rco.store.contract.queues import ItemChange, ItemDone

__all__ = [
    "AWAITS_VERSION",
    "Queueing",
    "Seat",
    "awaits_version",
    "began_us",
    "begin_record",
    "place_in",
    "queue_of",
    "queued_detail",
    "waits_in_queue",
]

AWAITS_VERSION = "version missing"
"""The cause in the row of a run whose turn went back."""

_unpack = msgspec.msgpack.Decoder().decode
_json = msgspec.json.Decoder().decode


class Seat(msgspec.Struct, frozen=True):
    """What a start asks of queues; empty: what its workflow says."""

    queue: str = ""
    fair_key: str = ""
    priority: int | None = None


def place_in(queues: Mapping[str, Queue], seat: Seat, namespace: str) -> Place:
    """The place that ``seat`` stands for. Raises ``Misuse`` for a queue that is not declared and for what no item can
    hold."""
    queue = queues.get(seat.queue)
    if queue is None:
        known = ", ".join(sorted(queues)[:20]) or "none"
        raise Misuse(
            f"no queue named {seat.queue!r} is declared.", cure=f"Declare it under queues:. There are: {known}."
        )
    priority = queue.priority if seat.priority is None else seat.priority
    if not 0 <= priority < PRIORITIES:
        raise Misuse(f"priority is {priority}.", cure=f"Use 0 (first) to {PRIORITIES - 1} (last).")
    if len(seat.fair_key) > FAIR_KEY_CHARS_MAX or "\x00" in seat.fair_key:
        raise Misuse(
            f"fair_key has {len(seat.fair_key)} characters; up to {FAIR_KEY_CHARS_MAX} are allowed, none of them NUL.",
            cure="Use a short name, such as a tenant's.",
        )
    return Place(seat.queue, fair_key_of(namespace, seat.fair_key), priority, queue.ordered)


def queued_detail(place: dict[str, Any]) -> bytes:
    """What stands in the row of a run that waits; ``place`` is what its START says."""
    said = {"cause": "queued", "message": f"waits in queue {place['name']}", "queue": place["name"]}
    return canonical_json(said | {"fair_key": place["key"], "priority": place["priority"]})


def queue_of(start: dict[str, Any]) -> str | None:
    """The queue that a run with this START holds a permit of, or waits in."""
    place = start.get("queue")
    return None if place is None else place["name"]


def began_us(records: list[Record]) -> int:
    """When the code of a run with these records began."""
    for record in records[1:]:
        if record.kind == Kind.BEGIN:
            return record.at_us
        # Of what waits only the version may have changed.
        if record.kind != Kind.VERSION:
            break
    return records[0].at_us


def begin_record(start: dict[str, Any], message: Message, now_us: int) -> Record:
    """What is written as the code begins."""
    return Record(Kind.BEGIN, "", now_us, b"", {"queue": queue_of(start), "granted_us": message.at_us})


def awaits_version(row: RunRow) -> bool:
    """Whether the run's turn went back, because its version was on no node."""
    told = waits_in_queue(row) if row.mode is Mode.PAUSED and is_pin(row.version) else None
    return told is not None and told["cause"] == AWAITS_VERSION


def waits_in_queue(row: RunRow) -> dict[str, Any] | None:
    """Of a run that has not begun, in a queue or paused there: what its row says of it."""
    if row.mode not in (Mode.QUEUED, Mode.PAUSED) or row.detail is None:
        return None
    detail = _json(row.detail)
    return detail if isinstance(detail, dict) and "queue" in detail else None


class Queueing:
    """Reads the messages of runs that have not begun, and tells who gives turns what has changed."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.queues: Mapping[str, Queue] = {}
        """Those that are declared, by name."""
        self.admit: Callable[[str, int], None] = _room
        """Asked (queue, count) before that many runs are opened in it; raises ``Overloaded`` when it is full."""
        self.on_waiting: list[Callable[[bytes, Place, int, bool], None]] = []
        """Told (run, place, since when, whether it waited before) of runs that wait, once that is committed."""
        self.on_held: list[Callable[[bytes, str], None]] = []
        """Told (run, queue) of runs that are passed over, likewise."""
        self.on_returned: list[Callable[[bytes, str], None]] = []
        """Told (run, queue) of runs whose turn went back, likewise."""
        self.on_said: list[Callable[[bytes], None]] = []
        """Told of runs about which something is written while they wait, in that very turn."""
        self._turning: set[bytes] = set()
        """Runs whose turn is going back, or that are being let wait again: it is being committed."""

    def waiting(self, run_id: bytes, place: Place, since_us: int, again: bool = False) -> None:
        """The run waits, and that is committed. ``again``: in a place that it had before."""
        for listener in self.on_waiting:
            listener(run_id, place, since_us, again)

    def read(self, row: RunRow, messages: list[Message]) -> tuple[str, Message | None]:
        """What the messages of a run that has not begun lead to: ``begin`` or ``cancel`` with the message that says so,
        or ``stay``. Pausing and resuming are written down here. Reading them twice has no further effect."""
        told = waits_in_queue(row)
        if told is None:
            return ("begun" if row.mode is Mode.PAUSED else "stay"), None
        paused, heard = row.mode is Mode.PAUSED, list(told.get("heard") or ())
        begin = cancel = None
        taken: list[Message] = []
        said: dict[str, Any] = {}
        for message in messages:
            if message.kind in ("pause", "resume"):
                taken.append(message)
                if message.message_id not in heard:
                    # A request may come twice, and late: so many are remembered.
                    heard = [*heard[-7:], message.message_id]
                    paused, said = message.kind == "pause", _unpack(message.body)
            elif message.kind == "cancel":
                cancel = cancel or message
            elif message.kind == BEGIN:
                begin = message
        if taken:
            self._write(row, told, paused, heard, said, taken, begin is not None)
        if cancel is not None:
            return "cancel", cancel
        if begin is not None and awaits_version(row):
            # Who gave this turn had not heard that the last one went back.
            return "begin", begin
        return ("begin", begin) if begin is not None and not paused else ("stay", None)

    def _write(
        self,
        row: RunRow,
        told: dict[str, Any],
        paused: bool,
        heard: list[str],
        said: dict[str, Any],
        taken: list[Message],
        granted: bool,
    ) -> None:
        run_id, queue = row.run_id, told["queue"]
        for listener in self.on_said:
            listener(run_id)
        changes = self._owner.changes(run_id, self._owner.home(row))
        changes.taken += [(run_id, message.message_id) for message in taken]
        if said:
            cause = {"cause": "paused", "message": said.get("reason") or "", "actor": said.get("actor") or ""}
            if not paused:
                cause = {"cause": "queued", "message": f"waits in queue {queue}"}
            kept = {name: told[name] for name in ("queue", "fair_key", "priority")}
            detail = canonical_json(cause | kept | {"heard": heard})
            changes.moved.append(Moved(run_id, Mode.PAUSED if paused else Mode.QUEUED, None, detail, row.namespace))
            # Whatever the row was when it was read: what was written since may not be in it yet.
            changes.queues.append(ItemChange(run_id, queue, ItemDone.HOLD if paused else ItemDone.FREE))
            if paused:
                changes.then += [(listener, (run_id, queue)) for listener in self.on_held]
            elif not granted:
                # With its turn it waits no more: who takes the queue over just now would give it another.
                self._again(changes, row, told)

    def _again(self, changes: Changes, row: RunRow, told: dict[str, Any]) -> None:
        """With this commit the run waits once more, in the place that its row says."""
        place = Place(told["queue"], told["fair_key"], told["priority"])
        changes.then.append((self.waiting, (row.run_id, place, row.opened_us, True)))

    # -- turns that nobody can take --------------------------------------------------------------------------------

    def give_back(self, row: RunRow, turn: Message, then: Callable[[RunRow], None]) -> None:
        """The turn of a run whose version is on no node goes back: its permit is another's, and it is passed over until
        ``let_wait``. ``then`` is given the row as it is after the commit. A second call before that changes nothing."""
        told = waits_in_queue(row)
        if told is None or row.run_id in self._turning:
            return
        queue, now_us = told["queue"], self._owner.clock.now_us()
        message = f"had its turn in queue {queue} while its version {named(row.version)} was on no node"
        said = told | {"cause": AWAITS_VERSION, "message": message}
        after = self._set(row, Mode.PAUSED, said, ItemDone.RETURN)
        changes = self._owner.changes(row.run_id, self._owner.home(row))
        changes.taken.append((row.run_id, turn.message_id))
        decided = Decision(
            verb=Verb.DISPATCH,
            at_us=now_us,
            allow=False,
            actor=f"queue:{queue}",
            subject=queue,
            run=id_text(row.run_id),
            corr_id=row.corr_id,
            reason=AWAITS_VERSION,
            facts={"fair_key": told["fair_key"], "priority": told["priority"], "version": named(row.version)},
        )
        changes.decisions.append(decided)
        changes.then += [(listener, (row.run_id, queue)) for listener in self.on_returned]
        changes.then.append((then, (after,)))

    def let_wait(self, row: RunRow) -> RunRow:
        """The run's version is here: it waits again, in the place that it had. Gives its row as it will be. A second
        call before the commit changes nothing."""
        told = waits_in_queue(row)
        if told is None or row.run_id in self._turning:
            return row
        queue = told["queue"]
        said = told | {"cause": "queued", "message": f"waits in queue {queue}"}
        after = self._set(row, Mode.QUEUED, said, ItemDone.FREE)
        changes = self._owner.changes(row.run_id, self._owner.home(row))
        decided = Decision(
            verb=Verb.RESUME,
            at_us=self._owner.clock.now_us(),
            actor=f"queue:{queue}",
            subject=row.workflow,
            run=id_text(row.run_id),
            corr_id=row.corr_id,
            reason=f"version {named(row.version)} is on a node",
        )
        changes.decisions.append(decided)
        self._again(changes, row, told)
        return after

    def _set(self, row: RunRow, mode: Mode, said: dict[str, Any], done: ItemDone) -> RunRow:
        run_id, detail = row.run_id, canonical_json(said)
        for listener in self.on_said:
            listener(run_id)
        changes = self._owner.changes(run_id, self._owner.home(row))
        changes.moved.append(Moved(run_id, mode, None, detail, row.namespace))
        changes.queues.append(ItemChange(run_id, said["queue"], done))
        self._turning.add(run_id)
        changes.then.append((self._turning.discard, (run_id,)))
        changes.lost.append(lambda _: self._turning.discard(run_id))
        return msgspec.structs.replace(row, mode=mode, detail=detail)


def _room(_queue: str, _count: int) -> None:
    """Until somebody counts."""
