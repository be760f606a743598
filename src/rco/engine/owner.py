"""The owner: keeps open runs in memory, writes their journal, arms what they ask for.

The one rule: a run moves on only by a record, and a record is applied when it is added to the transaction being
collected. Operations that only write are armed at once and share the commit; operations that touch the outside are
held until everything before them is committed. So what the world saw was durable before, and a crash loses nothing
but thought.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import ref

import msgspec

from rco.engine.live import Live
from rco.engine.operation import Operation
from rco.engine.options import EngineOptions
from rco.errors import CodeChanged
from rco.kit.canonical import canonical_json
from rco.kit.clock import Clock
from rco.kit.ids import Ids, id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_body
from rco.model.payload import BY_REFERENCE, Reference, as_value
from rco.model.run import SHARDS, Mode, Outcome, RunRow
from rco.store.contract.changes import Changes, Draft, Ended, Moved
from rco.store.contract.ownership import Ownership, Shards
from rco.store.contract.payloads import run_uses
from rco.store.contract.queues import ItemChange, ItemDone
from rco.store.contract.writer import Writer

__all__ = ["Armer", "Coming", "Owner"]

_encode = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


class Armer(Protocol):
    """Knows how to arm one kind of operation, and how to drop it when nobody waits for it any more."""

    def arm(self, live: Live, op: Any) -> None: ...

    def drop(self, live: Live, op: Any) -> None: ...


class Coming:
    """A run whose opening is on its way to the store, or whose answer is on its way back."""

    __slots__ = ("__weakref__", "left")

    def __init__(self) -> None:
        self.left = False
        """It was found in the store before the answer came, and has left memory since."""


class _Watch(ref[Coming]):
    """Looks at a run that is coming, and does not keep it. A dictionary of weak values does the same at three times the
    cost, for every run that is opened."""

    __slots__ = ("run_id",)
    run_id: bytes


def _stay(_: Live) -> None:
    """An idle run stays in memory until somebody knows better."""


def _inline(live: Live, value: Any) -> None:
    """Until somebody keeps payloads, nothing is too large."""
    del live, value


class Owner:
    """Open runs of the shards this node owns."""

    def __init__(self, writer: Writer, clock: Clock, ids: Ids, options: EngineOptions, ownership: Ownership) -> None:
        self.writer = writer
        self.ownership = ownership
        self.clock = clock
        self.ids = ids
        self.options = options
        self.live: dict[bytes, Live] = {}
        self.loop = asyncio.get_running_loop()
        self.armers: dict[type[Operation[Any]], Armer] = {}
        self.on_opened: list[Callable[[str], None]] = []
        """Told the workflow of every run that begins here."""
        self.on_letter: list[Callable[[str], None]] = []
        """Told the subscription that could not take an emitted event."""
        self.on_close: list[Callable[[Live, Outcome, Any], None]] = []
        """Called while the closing transaction is being collected."""
        self.on_closed: list[Callable[[Live, Outcome, Any], None]] = []
        """Called after it is committed."""
        self.on_blocked: list[Callable[[bytes, dict[str, Any]], None]] = []
        self.on_idle: Callable[[Live], None] = _stay
        self.over_bytes = sys.maxsize
        """Payloads that are larger are kept by reference."""
        self.refer_closing: Callable[[Live, Any], None] = _inline
        """Given a run that has returned something larger: it drives the run on when that is kept."""
        self.records = 0
        self._watched = ownership.act_until_s != math.inf
        self._stalled: list[tuple[Live, Operation[Any]]] = []
        self._draining = False
        self._left: dict[int, int] = {}
        self._coming: dict[bytes, _Watch] = {}
        self.leavings = 0
        """How often shards have left this node, any of them."""
        ownership.on_leaving(self._leave)
        ownership.on_renewed(self._renewed)
        self._watching: list[set[bytes]] = []
        self._collecting: Changes | None = None
        self._drafted: list[tuple[Live, Draft]] = []

    def new_run_id(self, version: str = "") -> bytes:
        """An identity for a run of ``version`` on a shard that is owned here, if there is one, so that it needs no
        other node."""
        run_id = self.ids.uuid7()
        byte = self.ownership.place(run_id[15], version)
        return run_id if byte == run_id[15] else run_id[:15] + bytes((byte,))

    def home(self, row: RunRow) -> int:
        """The shard of a run."""
        return self.ownership.home(row.run_id, row.version)

    def housed(self, live: Live) -> Live:
        """``live``, made just now, with the shard that its version gives it."""
        live.shard = self.ownership.home(live.run_id, live.version)
        return live

    def owns(self, row: RunRow) -> bool:
        """Whether the run is this node's."""
        return self.ownership.owns(self.ownership.home(row.run_id, row.version))

    def tenure(self, shard: int) -> int:
        """Changes when ``shard`` leaves this node, also when it comes back: what was read or sent before, and answered
        after, is no knowledge any more."""
        return self._left.get(shard, 0)

    @property
    def sure(self) -> bool:
        """Whether the shards that are owned here are surely owned by nobody else now."""
        return not self._watched or self.clock.monotonic() < self.ownership.act_until_s

    def expect(self, run_id: bytes) -> Coming:
        """A run that is to be opened. It is watched for as long as what this gives is kept."""
        coming = Coming()
        watch = _Watch(coming, self._forget)
        watch.run_id = run_id
        self._coming[run_id] = watch
        return coming

    def _forget(self, watch: _Watch) -> None:
        if self._coming.get(watch.run_id) is watch:
            del self._coming[watch.run_id]

    def opened(self, live: Live) -> None:
        """Take a new run into memory."""
        self.live[live.run_id] = live
        for listener in self.on_opened:
            listener(live.workflow)

    # -- writing ---------------------------------------------------------------------------------------------------

    def changes(self, run_id: bytes, shard: int) -> Changes:
        """The transaction now being collected, for what only the owner of the run may write: it is fenced by the lease
        of ``shard``, the run's own."""
        changes = self.writer.changes(shard)
        if shard != run_id[15]:
            changes.homes[run_id] = shard
        return changes

    def append(self, live: Live, record: Record, packed: bytes | None = None) -> None:
        """Write one record and apply it. Call ``drive`` afterwards. ``packed``: what is written of it, where that is
        known already or holds references instead of payloads.

        Raises ``TypeError`` when the body has no plain form; nothing was written then.
        """
        if packed is None:
            packed = _encode(record)
        shard = live.shard
        changes = self.writer.changes(shard)
        if shard >= SHARDS:
            changes.homes[live.run_id] = shard
        if live.parking:
            # Something happened after all; a crash must not find this run parked.
            live.parking = False
            changes.moved.append(Moved(live.run_id, Mode.HOT))
        draft = live.draft
        if draft is None or live.changes is not changes:
            draft = live.draft = Draft(live.run_id, live.seq, live.namespace)
            live.changes = changes
            changes.drafts.append(draft)
            if self._collecting is not changes:
                # One callback for a whole flush, however many runs are in it.
                self._collecting, self._drafted = changes, []
                changes.then.append((self._committed, (self._drafted,)))
            self._drafted.append((live, draft))
        size_bytes = len(packed)
        draft.parts += (size_bytes.to_bytes(4, "big"), packed)
        draft.records += 1
        live.seq += 1
        changes.records += 1
        changes.size_bytes += size_bytes
        self.records += 1
        live.machine.apply(record)

    def use(self, shard: int, run_id: bytes, namespace: str, *references: Reference, again: bool = False) -> None:
        """What is written of the run in this turn refers to these. ``again``: so did what it has them from."""
        changes = self.writer.changes(shard)
        changes.payloads.extend(run_uses(run_id, references, namespace, again=again))

    def arm(self, live: Live, op: Operation[Any]) -> None:
        """Arm an operation outside of ``drive``, and drive on."""
        self.armers[type(op)].arm(live, op)
        self.drive(live)

    def drive(self, live: Live) -> None:
        """Arm what the machine asked for and drop what it let go, until it has come to rest."""
        machine = live.machine
        armed = machine.armed
        while armed or machine.dropped:
            if machine.dropped:
                self.let_go(live)
            if armed:
                op = armed.popleft()
                if machine.pending.get(op.key) is not op:
                    continue
                if op.outside and live.committed != live.seq:
                    live.held.append((live.seq, op))
                else:
                    self.armers[type(op)].arm(live, op)
        live.idle_since = None
        if machine.blocked is not None:
            self.block(live, {"cause": "misuse", "message": str(machine.blocked)})
        elif machine.verdict is not None:
            self._close(live)
        elif live.committed == live.seq:
            self.on_idle(live)

    def let_go(self, live: Live) -> None:
        """Drop what the machine let go. Called in the turn of the record that did it: both must be one commit, because
        a replay takes what a record let go as dropped with all its consequences."""
        dropped, live.machine.dropped = live.machine.dropped, []
        for op in dropped:
            self.armers[type(op)].drop(live, op)

    def hold(self, live: Live, op: Operation[Any]) -> None:
        """Arm an outside operation as soon as all records so far are committed."""
        if live.committed == live.seq:
            self.armers[type(op)].arm(live, op)
        else:
            live.held.append((live.seq, op))

    def may_act(self, live: Live, op: Operation[Any]) -> bool:
        """Whether something may be sent for ``live`` now. When the lease may have run out, ``op`` is kept until it is
        renewed, or forgotten when the shard is lost."""
        if not self._watched:
            return True
        if self._draining:
            return False
        if self.clock.monotonic() < self.ownership.act_until_s:
            return True
        self._stalled.append((live, op))
        return False

    @property
    def draining(self) -> bool:
        """Whether no attempt begins any more."""
        return self._draining

    def drain(self) -> None:
        """Begin no further attempt. What is under way goes on and is recorded."""
        self._draining = self._watched = True

    def _renewed(self) -> None:
        stalled, self._stalled = self._stalled, []
        for live, op in stalled:
            if live.machine.pending.get(op.key) is op and not live.ending:
                self.hold(live, op)

    def _leave(self, shards: Shards) -> None:
        self.leavings += 1
        for shard in shards:
            self._left[shard] = self._left.get(shard, 0) + 1
        for live in [live for live in self.live.values() if live.shard in shards]:
            self.evict(live)

    def _committed(self, drafted: list[tuple[Live, Draft]]) -> None:
        armers, idle = self.armers, self.on_idle
        for live, draft in drafted:
            live.committed = committed = draft.first_seq + draft.records
            if live.draft is draft:
                # A flush holds its runs by what is called after it. Kept, this way back would make a ring of every run
                # that closed, which only the garbage collector finds, and all that the flush wrote would wait for it.
                live.draft = live.changes = None
            held = live.held
            if held:
                pending = live.machine.pending
                while held and held[0][0] <= committed:
                    op = held.popleft()[1]
                    if pending.get(op.key) is op:
                        armers[type(op)].arm(live, op)
            elif committed == live.seq and not live.ending:
                idle(live)

    def feed(self, live: Live, record: Record) -> None:
        """``append`` and ``drive``; a mismatch that shows only now blocks the run."""
        try:
            self.append(live, record)
        except CodeChanged as changed:
            self.block(live, {"cause": "code changed", "message": changed.message, "diff": changed.diff})
            return
        self.drive(live)

    # -- leaving memory --------------------------------------------------------------------------------------------

    def _close(self, live: Live) -> None:
        if live.ending:
            return
        assert live.machine.verdict is not None
        outcome, value = live.machine.verdict
        now = self.clock.now_us()
        try:
            detail = _json({"result" if outcome is Outcome.COMPLETED else "error": value})
            if len(detail) > self.options.value_limit_bytes:
                raise ValueError(f"it is {len(detail)} bytes, the limit is {self.options.value_limit_bytes}")
        except (TypeError, ValueError, msgspec.MsgspecError) as problem:
            outcome = Outcome.FAILED
            value = {
                "kind": "Misuse",
                "code": "misuse",
                "message": f"the result cannot be stored: {problem}. Return plain data (dict, list, str, numbers).",
            }
            detail = _json({"error": value})
        packed = None
        if len(detail) > self.over_bytes:
            if live.kept is None:
                self.refer_closing(live, value)
                return
            reference = live.kept.reference
            if reference is not None:
                self.use(live.shard, live.run_id, live.namespace, reference)
                detail = _referring(reference, outcome, value)
                packed = encode_body(Record(Kind.CLOSE, "", now), [outcome.value, as_value(reference)])
        live.ending = True
        self._disarm(live)
        self.append(live, Record(Kind.CLOSE, "", now, b"", [outcome.value, value]), packed)
        changes = self.changes(live.run_id, live.shard)
        changes.ended.append(Ended(live.run_id, outcome, now, detail, live.namespace))
        if live.queue is not None:
            changes.queues.append(ItemChange(live.run_id, live.queue, ItemDone.GONE))
        # A repeat of a signal that was taken may have come meanwhile; it must not be listed as one that never was.
        changes.taken.extend([(live.run_id, message_id) for message_id in live.taken])
        changes.decisions.append(
            Decision(
                verb=Verb.CLOSE,
                at_us=now,
                allow=outcome is Outcome.COMPLETED,
                subject=live.workflow,
                run=id_text(live.run_id),
                corr_id=live.corr_id,
                reason=outcome.value,
            )
        )
        for listener in self.on_close:
            listener(live, outcome, value)
        changes.then.append((self.closed, (live, outcome, value)))

    @contextmanager
    def departures(self) -> Iterator[set[bytes]]:
        """A set that takes up every run that leaves memory while the block runs. What was read of such a run meanwhile
        may be older than what it wrote before it left."""
        gone: set[bytes] = set()
        self._watching.append(gone)
        try:
            yield gone
        finally:
            self._watching = [other for other in self._watching if other is not gone]

    def _departs(self, live: Live) -> None:
        run_id = live.run_id
        # Its shard may have left this node and come back since, and with it the run: that one stays.
        if self.live.get(run_id) is live:
            del self.live[run_id]
        watch = self._coming.get(run_id)
        if watch is not None and (coming := watch()) is not None:
            coming.left = True
        for gone in self._watching:
            gone.add(run_id)

    def closed(self, live: Live, outcome: Outcome, value: Any) -> None:
        """The commit that closed it stands: let go of it and tell who wants to know."""
        self._departs(live)
        for listener in self.on_closed:
            listener(live, outcome, value)

    def block(self, live: Live, detail: dict[str, Any]) -> None:
        """Set the run aside until code that fits it is there, or a person decides. Nothing of it is lost."""
        if live.ending:
            return
        live.ending = True
        now = self.clock.now_us()
        self._disarm(live)
        live.machine.evict()
        changes = self.changes(live.run_id, live.shard)
        changes.moved.append(Moved(live.run_id, Mode.BLOCKED, None, canonical_json(detail), live.namespace))
        changes.decisions.append(
            Decision(
                verb=Verb.BLOCK,
                at_us=now,
                allow=False,
                subject=live.workflow,
                run=id_text(live.run_id),
                corr_id=live.corr_id,
                reason=str(detail.get("cause", "")),
            )
        )
        changes.then.append((self._blocked, (live, detail)))

    def _blocked(self, live: Live, detail: dict[str, Any]) -> None:
        self._departs(live)
        for listener in self.on_blocked:
            listener(live.run_id, detail)

    def evict(self, live: Live) -> None:
        """Take a run out of memory without a word in the journal."""
        live.ending = True
        self._disarm(live)
        live.machine.evict()
        self._departs(live)

    def _disarm(self, live: Live) -> None:
        for task in live.tasks.values():
            task.cancel()
        live.tasks.clear()
        for handle in live.timers.values():
            handle.cancel()
        live.timers.clear()
        live.held.clear()


def _referring(reference: Reference, outcome: Outcome, value: Any) -> bytes:
    """The detail of a run that closed with what ``reference`` keeps: of an error the code stays, for filters."""
    told: dict[str, Any] = {BY_REFERENCE: reference.encoded().hex(), "size_bytes": reference.size_bytes}
    told["of"] = "result" if outcome is Outcome.COMPLETED else "error"
    if outcome is not Outcome.COMPLETED and isinstance(value, dict) and isinstance(value.get("code"), str):
        told["error"] = {"code": value["code"][:64]}
    return _json(told)
