"""Every rule can fail: each bug planted here is found within a few worlds, by the rule that is there for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rco.egress import ledger
from rco.egress.ledger import Held, Ledger
from rco.egress.passage import Passage
from rco.encryption.concealing import Concealing
from rco.encryption.keys import Keys
from rco.engine import forking, loading, moving
from rco.engine.attributes import Attributes
from rco.engine.effects import Effects
from rco.engine.loading import Loading
from rco.engine.moving import Moving
from rco.engine.opening import Openings
from rco.engine.operation import Effect
from rco.engine.options import EngineOptions
from rco.engine.owner import Owner
from rco.engine.parking import Parking
from rco.engine.pausing import Pausing
from rco.engine.program import Programs
from rco.engine.queueing import Queueing
from rco.engine.rehearsing import Fit
from rco.engine.sending import Sending
from rco.engine.timing import Timers
from rco.engine.waiting import Waits
from rco.kit.digest import digest
from rco.kit.ids import Ids
from rco.model.attribute import Type
from rco.model.effect import Answer, EffectFailed
from rco.model.journal import Kind, Record
from rco.model.message import Message
from rco.model.payload import NAME_BYTES, Reference
from rco.model.queue import Queue
from rco.model.retention import RetentionClass, RetentionOptions, RunRule
from rco.model.run import Mode, Outcome
from rco.model.target import Repeat
from rco.operations.erasure import Erasure
from rco.operations.retention import Retention
from rco.payloads.sweeping import Sweeper, Swept
from rco.queues.line import Line
from rco.scheduler import commit
from rco.scheduler import decide as deciding
from rco.scheduler import scheduler as looking
from rco.scheduler.commit import Commit
from rco.scheduler.scheduler import Scheduler
from rco.scheduler.ticks import Ticks
from rco.store.contract.changes import Changes
from rco.store.contract.payloads import UserKind
from rco.store.contract.retaining import Removed
from rco.store.pools import Pools
from rco.testing import retaining, table_attributes, table_queues, tables
from rco.testing.database import ModelDatabase
from rco.testing.leases import LeaseOptions
from rco.testing.plan import draw
from rco.testing.retaining import ModelRetaining
from rco.testing.shelf import ShelfDoor
from rco.testing.simulation import simulate
from rco.testing.store import ModelKeeper
from rco.testing.store_reader import ModelReader
from rco.testing.store_writer import ModelWriter
from rco.testing.wire import Wire
from rco.workflow import probe as probe_module
from rco.workflow.context import Context

WITHIN = 150
Plant = Callable[[pytest.MonkeyPatch], None]


def arm_before_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Effect, "outside", False)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tables, "fence", lambda *_: None)


def fence_without_lock(patch: pytest.MonkeyPatch) -> None:
    """The epoch is compared before the transaction and not within it."""
    fence, ask = tables.fence, Wire.ask
    patch.setattr(tables, "fence", lambda *_: None)

    def early(self: Wire, request: Any, answer: Any) -> None:
        batch = getattr(request, "args", (None,))[0]
        if isinstance(batch, tables.Batch):
            try:
                fence(self._network.database.tables, batch)
            except Exception as problem:  # noqa: BLE001 - as the keeper does
                self._network.loop.post(self.actor, answer, None, problem)
                return
        ask(self, request, answer)

    patch.setattr(Wire, "ask", early)


def forget_what_was_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Waits, "_forget", lambda *_: None)
    patch.setattr(Waits, "_note_taken", lambda *_: None)
    patch.setattr(loading, "_message_id", lambda _: "")


def early_timers(patch: pytest.MonkeyPatch) -> None:
    def call_at(self: Timers, live: Any, key: str, due_us: int, then: Any, *arguments: Any) -> None:
        delay_s = max(0.0, (due_us - self._owner.clock.now_us()) / 2e6)
        live.timers[key] = self._owner.loop.call_later(delay_s, self._due, live, key, 0, then, arguments)

    patch.setattr(Timers, "call_at", call_at)


def early_retries(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Effects, live: Any, op: Any) -> None:
        op.due_us = 0
        live.timers[op.key] = self._owner.loop.call_later(0, self._retry_due, live, op)

    patch.setattr(Effects, "_wait_for_retry", at_once)


def lose_messages_while_parking(patch: pytest.MonkeyPatch) -> None:
    wake = Loading.wake

    def forgetful(self: Loading, run_id: bytes) -> None:
        live = self._owner.live.get(run_id)
        if live is not None:
            wake(self, run_id)

    patch.setattr(Loading, "wake", forgetful)


def end_steps_twice(patch: pytest.MonkeyPatch) -> None:
    append = Owner.append

    def twice(self: Owner, live: Any, record: Any, packed: bytes | None = None) -> None:
        append(self, live, record, packed)
        if record.kind == Kind.STEP_END:
            live.draft.parts.extend(live.draft.parts[-2:])
            live.draft.records += 1
            live.seq += 1

    patch.setattr(Owner, "append", twice)


def act_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Owner, "may_act", lambda *_: True)


def no_compensations(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Context, "compensate", lambda *_: None)


def no_intent(patch: pytest.MonkeyPatch) -> None:
    arm = Effects.arm

    def straight(self: Effects, live: Any, op: Any) -> None:
        if op.repeat is Repeat.NEVER and not (op.doubt or op.written or op.intent):
            self.begin(live, op)
        else:
            arm(self, live, op)

    patch.setattr(Effects, "arm", straight)


def repeat_what_may_not_be(patch: pytest.MonkeyPatch) -> None:
    def again(self: Effects, live: Any, op: Any, why: str) -> None:
        op.intent = False
        op.written = False
        self._owner.hold(live, op)

    patch.setattr(Effects, "_in_doubt", again)


def ignore_start_keys(patch: pytest.MonkeyPatch) -> None:
    refused = tables._refused

    def open_handed(admission: Any, claims: Any, held: Any, is_open: Any) -> Any:
        bare = msgspec.structs.replace(admission, start_keys=[])
        return refused(bare, claims, held, is_open)

    patch.setattr(tables, "_refused", open_handed)


def out_of_order(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Sending, outcome: Any, message: Any) -> None:
        live = self._owner.live.get(message.run_id)
        if outcome.status == "accepted" and live is not None:
            self._deliver(live, message)

    patch.setattr(Sending, "_deliver_if", at_once)


def begin_again(patch: pytest.MonkeyPatch) -> None:
    """An attempt is made once more when its step has ended."""
    done = Effects._done

    def twice(self: Effects, live: Any, op: Any, answer: Any) -> None:
        done(self, live, op, answer)
        self._owner.loop.call_later(0.2, lambda: self._owner.loop.create_task(self._attempt(live, op)))

    patch.setattr(Effects, "_done", twice)


def attempt_twice(patch: pytest.MonkeyPatch) -> None:
    begin = Effects.begin

    def twice(self: Effects, live: Any, op: Any) -> None:
        begin(self, live, op)
        begin(self, live, op)

    patch.setattr(Effects, "begin", twice)


def take_loss_for_success(patch: pytest.MonkeyPatch) -> None:
    lost = Effects._lost

    def hopeful(self: Effects, live: Any, op: Any, problem: EffectFailed) -> None:
        if problem.ambiguous and op.repeat is not Repeat.NEVER:
            self._done(live, op, Answer({"status": 200, "headers": {}, "body": {}}))
        else:
            lost(self, live, op, problem)

    patch.setattr(Effects, "_lost", hopeful)


def another_event(patch: pytest.MonkeyPatch) -> None:
    body = tables.event_body
    patch.setattr(tables, "event_body", lambda event: body(msgspec.structs.replace(event, id=event.id + "x")))


def unsealed_segment(patch: pytest.MonkeyPatch) -> None:
    write = tables.Transaction.write

    def forget(self: Any) -> Any:
        committed = write(self)
        for key, segments in self._tables.segments.items():
            if len(segments) > 2:
                self._tables.segments[key] = segments[:-1]
        return committed

    patch.setattr(tables.Transaction, "write", forget)


def close_otherwise(patch: pytest.MonkeyPatch) -> None:
    end = tables.Transaction._end

    def failed(self: Any, ended: Any) -> None:
        end(self, msgspec.structs.replace(ended, outcome=Outcome.FAILED))

    patch.setattr(tables.Transaction, "_end", failed)


def hide_the_rewind(patch: pytest.MonkeyPatch) -> None:
    note = ModelWriter.note

    def silent(self: ModelWriter, decision: Any) -> None:
        if decision.reason != "history rewound":
            note(self, decision)

    patch.setattr(ModelWriter, "note", silent)


def stumble(patch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("nobody handles this")

    patch.setattr(Waits, "_expire", broken)


def sleep_over_unread_mail(patch: pytest.MonkeyPatch) -> None:
    """What a sole owner was told before it died in the commit's own turn."""
    patch.setattr(ModelKeeper, "on_mail", lambda *_: None)


def rewrite_epochs(patch: pytest.MonkeyPatch) -> None:
    """A take-over that does not raise the epoch."""
    beat = ModelDatabase.beat

    def same(self: ModelDatabase, node: str, chain: str, ttl_s: float, *more: Any) -> Any:
        before = list(self.tables.leases)
        told = beat(self, node, chain, ttl_s, *more)
        self.tables.leases = [(now[0], max(1, was[1])) for was, now in zip(before, self.tables.leases, strict=True)]
        return msgspec.structs.replace(told, owned={shard: self.tables.leases[shard][1] for shard in told.owned})

    patch.setattr(ModelDatabase, "beat", same)


def wake_what_was_parked(patch: pytest.MonkeyPatch) -> None:
    """A run that has nothing to do is loaded again as soon as it has left memory."""
    parked = Parking._parked

    def restless(self: Parking, live: Any, due_us: int | None) -> None:
        parked(self, live, due_us)
        self._wake(live.run_id)

    patch.setattr(Parking, "_parked", restless)


def go_on_while_paused(patch: pytest.MonkeyPatch) -> None:
    """What was to be armed when the attempt under way has ended is armed."""

    def pause(self: Pausing, live: Any, message: Any) -> None:
        body = {"message_id": message.message_id, "reason": "", "actor": ""}
        self._taken(live, message)
        self._owner.append(live, Record(Kind.PAUSE, "", self._owner.clock.now_us(), b"", body))
        self._move(live, body)

    patch.setattr(Pausing, "pause", pause)


def forget_what_came_while_paused(patch: pytest.MonkeyPatch) -> None:
    resumed = Loading._resumed

    async def forget(self: Loading, row: Any, messages: Any) -> Any:
        for message in messages:
            if message.kind == "signal":
                self._pausing.forget(row, message)
        return await resumed(self, row, messages)

    patch.setattr(Loading, "_resumed", forget)


def fork_with_another_input(patch: pytest.MonkeyPatch) -> None:
    """What is copied is not what the run began with."""
    own = forking.Forking._records

    def lie(self: Any, row: Any, ask: Any, step: str, kept: Any) -> Any:
        records, start = own(self, row, ask, step, kept)
        given = {**start["input"], "steps": start["input"].get("steps", 0) + 1}
        start = {**start, "input": given}
        return [Record(Kind.START, "", records[0].at_us, b"", start), *records[1:]], start

    patch.setattr(forking.Forking, "_records", lie)


def move_untried(patch: pytest.MonkeyPatch) -> None:
    """Whatever does not fit is moved all the same."""
    rehearsed = Moving.rehearsed

    async def fits(self: Any, row: Any, to: str) -> Any:
        _, count = await rehearsed(self, row, to)
        return Fit(fits=True), count

    patch.setattr(Moving, "rehearsed", fits)


def move_what_was_tried_before(patch: pytest.MonkeyPatch) -> None:
    """A run is moved although it got on since it was tried: the number of its records is not compared."""
    write = Moving._write

    async def blind(self: Any, row: Any, request: Any, message_id: str = "") -> Any:
        segments = await self._reader.journal(row.run_id)
        live = self._owner.live.get(row.run_id)
        count = live.seq if live is not None else moving._count(segments)
        return await write(self, row, msgspec.structs.replace(request, seq=count), message_id)

    patch.setattr(Moving, "_write", blind)


def hear_what_comes_before_what_came(patch: pytest.MonkeyPatch) -> None:
    """A run counts as up to date when its inbox was read, whatever came while it was read."""

    def at_once(self: Loading, live: Any, *, by: bool) -> None:
        del by
        live.read = True
        if live.committed == live.seq and not live.ending:
            self._owner.on_idle(live)

    patch.setattr(Loading, "_inbox_read", at_once)


def drive_by_the_current_code(patch: pytest.MonkeyPatch) -> None:
    """The version of a run is forgotten when it is loaded."""
    find = Programs.find
    patch.setattr(Programs, "find", lambda self, name, version="": find(self, name))


def move_the_row_alone(patch: pytest.MonkeyPatch) -> None:
    """The row says the new version, and the journal does not."""
    aside = moving.append_aside

    async def silent(owner: Any, ghost: Any, seq: int, record: Record, add: Any, committed: Any) -> None:
        told = Record(record.kind, "", record.at_us, b"", {**record.body, "to": record.body["from"]})
        await aside(owner, ghost, seq, told, add, committed)

    patch.setattr(moving, "append_aside", silent)


def believe_absence_at_once(patch: pytest.MonkeyPatch) -> None:
    """A request that is still on its way is taken for one that never was."""
    made = probe_module._rest
    patch.setattr(probe_module, "_rest", lambda grace_s, *rest: made(0.0, *rest))


def tick_without_revision(patch: pytest.MonkeyPatch) -> None:
    """A schedule is written whatever it was decided on, and its starts have keys of their own."""

    def whatever(schedules: Any, writes: Any) -> Any:
        return schedules | {write.row.schedule_id: write.row for write in writes}

    patch.setattr(tables, "changed_schedules", whatever)
    patch.setattr(tables, "fence", lambda *_: None)
    patch.setattr(commit, "start_key", lambda _, due: f"schedule:{Ids().ulid()}:{due.tick_us}")


def advance_without_the_start(patch: pytest.MonkeyPatch) -> None:
    """The start is not in the commit of the advance, but follows it."""
    send = Commit.send

    def apart(self: Commit, made: Any, done: Any, failed: Any) -> None:
        alone = msgspec.structs.replace(made, starts=[], fires=[])

        def then(outcome: Any) -> None:
            done(outcome)
            if outcome.status == "accepted":
                for _, opening in made.starts:
                    changes = self._writer.changes(opening.row.run_id[15])
                    changes.opened.append(opening.row)
                    changes.opened_segments.append((opening.row.run_id, opening.segment))
                    changes.then.append((self._engine.begin, (opening,)))

        send(self, alone, then, failed)

    patch.setattr(Commit, "send", apart)


def forget_the_fresh_shards(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scheduler, "_gained", lambda *_: None)


def late_at_once(patch: pytest.MonkeyPatch) -> None:
    """A take-over counts as an outage for the catch-up policy."""
    patch.setattr(deciding, "LATE_US", 1_000_000)


def early_ticks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ticks, "fire_us", lambda _, __, tick_us: tick_us - 200_000)


def nobody_is_in_the_way(patch: pytest.MonkeyPatch) -> None:
    decide = deciding.decide
    patch.setattr(
        looking, "decide", lambda one, ticks, now, _, batch: decide(one, ticks, now, lambda run: False, batch)
    )


def forget_the_permits(patch: pytest.MonkeyPatch) -> None:
    """Who takes a queue over begins with none that are held."""

    async def nothing(_self: Any, _queue: str) -> list[Any]:
        return []

    patch.setattr(ModelReader, "queue_running", nothing)


def give_turns_without_the_fence(patch: pytest.MonkeyPatch) -> None:
    """A turn counts also from who has lost the queue."""
    patch.setattr(tables, "granting_shards", lambda _: set())


def limit_all_but_no_key(patch: pytest.MonkeyPatch) -> None:
    own = Line.next

    def careless(self: Line) -> Any:
        self.spec = msgspec.structs.replace(self.spec, per_key_concurrency=None)
        return own(self)

    patch.setattr(Line, "next", careless)


def begin_without_a_turn(patch: pytest.MonkeyPatch) -> None:
    """A run in a queue begins as soon as anything comes for it."""

    def read(self: Queueing, row: Any, messages: Any) -> Any:
        if row.mode is Mode.PAUSED:
            return "begun", None
        return "begin", Message(row.run_id, "begin", "begin", "begin", b"", 0)

    patch.setattr(Queueing, "read", read)


def stay_with_one_key(patch: pytest.MonkeyPatch) -> None:
    """The key whose turn it is keeps it until it has run dry."""
    own = Line.next

    def greedy(self: Line) -> Any:
        for key in self.keys.values():
            key.deficit = 1000
        return own(self)

    patch.setattr(Line, "next", greedy)


def forget_the_levels(patch: pytest.MonkeyPatch) -> None:
    key = Line.key

    def upside_down(self: Line, level: int, name: str, *, new: bool = False) -> Any:
        made = key(self, level, name, new=new)
        if made.ring in (self._new[level], self._old[level]):
            made.ring.remove(made)
            self._join(made, self._new[9 - level])
        return made

    patch.setattr(Line, "key", upside_down)


def write_under_any_lease(patch: pytest.MonkeyPatch) -> None:
    """Nobody says in which pool a run is that is written to."""

    class Forgetful(dict[bytes, int]):
        def __setitem__(self, run_id: bytes, shard: int) -> None:
            del run_id, shard

    genuine = Changes.__init__

    def empty(self: Changes) -> None:
        genuine(self)
        self.homes = Forgetful()

    patch.setattr(Changes, "__init__", empty)


def tell_nobody_whose_it_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tables.Transaction, "_hand_over", lambda _: None)


def drive_what_is_in_the_keeping(patch: pytest.MonkeyPatch) -> None:
    """A node drives what it owns, by the code that it has."""
    patch.setattr(Programs, "has", lambda *_: True)
    find = Programs.find
    patch.setattr(Programs, "find", lambda self, name, version="": find(self, name, version) or find(self, name))
    among = Pools.among
    patch.setattr(Pools, "among", lambda self, shards, _: among(self, shards, None))


APART = {"nodes": 3, "versions": True, "pools": (("v1",), ("v1", "v2"), ("v2",)), "move": 1.0}


def trust_what_is_heard(patch: pytest.MonkeyPatch) -> None:
    """A run that this node has put into an ordered queue goes before what another node committed first."""
    own = Line.push

    def push(self: Line, item: Any, again: bool = False) -> None:
        spec, self.spec = self.spec, msgspec.structs.replace(self.spec, ordered=False)
        own(self, item, again)
        self.spec = spec

    patch.setattr(Line, "push", push)


CROWDED = {"queue": Queue(concurrency=1), "runs": 40, "start_within_s": 2.0}
IN_ORDER = {"queue": Queue(per_key_concurrency=1, ordered=True), "runs": 40, "start_within_s": 2.0}
# A node stands still while its commits wait for a lock, for longer than its lease; turns are committed by themselves.
HELD_UP = {
    "nodes": 3,
    "pauses": 3,
    "pause_s": (8.0, 16.0),
    "lanes": 3,
    "lock_wait": 0.5,
    "lock_wait_s": 6.0,
    "leases": LeaseOptions(ttl_s=2.0, beat_s=0.5, margin_s=0.25, poll_s=0.2),
    "versions": False,
    "pools": (),
    "pause": 0.0,
    "payload_over_bytes": 0,
    "erasure": False,
    "retention": None,
    **CROWDED,
}
NARROW = {"queue": Queue(concurrency=3, per_key_concurrency=1), "runs": 40, "start_within_s": 2.0}


# Versions are away for a while again and again, and the runs of one queue are of both.
STRANDED = {
    "nodes": 3,
    "queue": Queue(concurrency=2),
    "versions": True,
    "pools": (("v1",), ("v1",), ("v2",)),
    "crashes": 4,
    "stops": 2,
    "restart_s": (3.0, 20.0),
    "runs": 20,
}


def keep_the_word_of_a_turn_that_went_back(patch: pytest.MonkeyPatch) -> None:
    def back(self: Queueing, row: Any, turn: Message, then: Any) -> None:
        genuine(self, row, msgspec.structs.replace(turn, message_id="another"), then)

    genuine = Queueing.give_back
    patch.setattr(Queueing, "give_back", back)


def forget_whose_turn_went_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loading, "awaits_version", lambda _: False)


def keep_the_permit_of_a_turn_that_went_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(table_queues, "returning", lambda *_: set())


def count_only_our_own_permits(patch: pytest.MonkeyPatch) -> None:
    def hold(book: Ledger, who: str, **asked: Any) -> Any:
        return genuine(Ledger(holders={who: book.holders.setdefault(who, Held())}), who, **asked)

    genuine = ledger.hold
    patch.setattr(ledger, "hold", hold)


def free_the_permits_of_the_dead_at_once(patch: pytest.MonkeyPatch) -> None:
    genuine = ledger.hold
    patch.setattr(ledger, "hold", lambda *given, **asked: genuine(*given, **{**asked, "ttl_us": 0, "call_us": 0}))


HELD_BACK = {
    "nodes": 3,
    "limit_rate": 20.0,
    "limit_burst": 1,
    "runs": 80,
    "pauses": 15,
    "pause_s": (0.4, 3.0),
    "leases": LeaseOptions(ttl_s=30.0),
}
"""Processes that stand still for longer than their permits are good for, and not for so long that their shards go."""


def use_what_ran_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Passage, "good", lambda *_: True)


def a_bucket_for_each_node(patch: pytest.MonkeyPatch) -> None:
    def slots(book: Ledger, *given: Any) -> int:
        book.next_us = 0
        return genuine(book, *given)

    genuine = ledger.slots
    patch.setattr(ledger, "slots", slots)


def forget_what_was_given_of_a_budget(patch: pytest.MonkeyPatch) -> None:
    def give(book: Ledger, key: str, **asked: Any) -> Any:
        book.spent.clear()
        return genuine(book, key, **asked)

    genuine = ledger.give
    patch.setattr(ledger, "give", give)


def refer_before_keeping(patch: pytest.MonkeyPatch) -> None:
    """The reference is committed, and the object comes after."""

    async def keep(self: ShelfDoor, namespace: str, data: bytes, *, json: bool = False) -> Reference:
        del namespace
        name = self._random.randbytes(NAME_BYTES)
        asyncio.get_running_loop().call_later(0.2, self._shelf.put, name, data)
        return Reference(name, digest(data), len(data), json)

    patch.setattr(ShelfDoor, "keep", keep)


def say_nothing_of_uses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Owner, "use", lambda *_, **__: None)


def take_over_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """A run that takes an event by reference does not say that it uses it too."""
    own = Waits._referring

    def silent(self: Waits, live: Any, message: Any) -> Any:
        before = len(self._owner.writer.changes(live.shard).payloads)
        stored = own(self, live, message)
        del self._owner.writer.changes(live.shard).payloads[before:]
        return stored

    patch.setattr(Waits, "_referring", silent)


def start_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """A run of a schedule does not say that it uses the schedule's object too."""
    own = Commit.send

    def silent(self: Commit, made: Any, done: Any, failed: Any) -> None:
        for _, opening in made.starts:
            opening.payloads.clear()
        own(self, made, done, failed)

    patch.setattr(Commit, "send", silent)


def collect_without_grace(patch: pytest.MonkeyPatch) -> None:
    """What nothing refers to yet goes at the first look."""
    look = Sweeper.look

    async def at_once(self: Sweeper, now_us: int, grace_s: float, *, preview: bool = False) -> Any:
        del grace_s
        return await look(self, now_us, -1000.0, preview=preview)

    patch.setattr(Sweeper, "look", at_once)


def collect_what_closed_runs_use(patch: pytest.MonkeyPatch) -> None:
    """A run that has closed counts as gone."""
    used = ModelReader.payloads_used

    async def of_open(self: ModelReader, names: list[bytes]) -> set[bytes]:
        held = await used(self, names)
        tables = self._database.tables
        return held & {one.name for one in tables.payloads if one.kind is UserKind.RUN and one.who in tables.runs}

    patch.setattr(ModelReader, "payloads_used", of_open)


def collect_nothing(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> Swept:
        return Swept()

    patch.setattr(Sweeper, "look", nothing)


SWEPT = {
    "collect_every_s": 2.0,
    "pools": (),
    "payload_over_bytes": 1,
    "payload_away": 0.1,
    "payload_s": 0.02,
    "versions": False,
}
LARGE = {"payload_over_bytes": 1, "payload_away": 0.1, "payload_s": 0.02, "versions": False}


def begin_whatever_was_found(patch: pytest.MonkeyPatch) -> None:
    """An answer that comes late does not ask whether somebody was faster."""
    begin = Openings.begin

    def blind(self: Openings, opening: Any) -> None:
        opening.coming.left = False
        begin(self, opening)

    patch.setattr(Openings, "begin", blind)


EAGER = RetentionOptions(
    every_s=0.5, classes={"short": RetentionClass(keep_s=2.0)}, runs=[RunRule(keep="short")], events="short"
)


def remove_what_is_young(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RetentionOptions, "is_over", lambda *_: True)


def remove_whatever_hangs_on_it(patch: pytest.MonkeyPatch) -> None:
    """Parents and children of what is open, and what others were forked from."""
    patch.setattr(retaining, "stays", lambda *_: False)


def remove_nothing(patch: pytest.MonkeyPatch) -> None:
    async def over(_self: Any, _now_us: int) -> Any:
        nothing: list[Any] = []
        for row in nothing:
            yield row

    patch.setattr(Retention, "_over", over)


def remove_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """The record of a removal is not in the commit that removes."""
    within = ModelRetaining._within

    async def silent(self: ModelRetaining, drop: Any, record: Any) -> Any:
        def nothing(_: Any) -> Any:
            return record(Removed(events=1))

        return await within(self, drop, nothing)

    patch.setattr(ModelRetaining, "_within", silent)


def say_it_in_the_journal_alone(patch: pytest.MonkeyPatch) -> None:
    """An attribute is recorded, and not what runs are found by."""

    def arm(self: Attributes, live: Any, op: Any) -> None:
        body = [op.attribute.name, int(op.attribute.type), op.attribute.text, op.attribute.number]
        self._owner.append(live, Record(Kind.ATTRIBUTE, op.key, self._owner.clock.now_us(), op.fp, body))

    patch.setattr(Attributes, "arm", arm)


def forks_say_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forking, "attributes_of", lambda _: ())


def keep_what_was_taken_back(patch: pytest.MonkeyPatch) -> None:
    change = table_attributes.change_attributes

    def stubborn(said: Any, opened: Any, changes: Any) -> None:
        change(said, opened, [one for one in changes if one.attribute.type != Type.GONE])

    patch.setattr(tables, "change_attributes", stubborn)


def erase_and_keep_the_key(patch: pytest.MonkeyPatch) -> None:
    erase = ModelReader.erase_namespace_keys

    async def keep(self: ModelReader, namespace: str, *given: Any) -> int:
        before = {one.key_id: one.wrapped for one in self._database.tables.namespace_keys}
        count = await erase(self, namespace, *given)
        keys = self._database.tables.namespace_keys
        keys[:] = [msgspec.structs.replace(one, wrapped=before[one.key_id]) for one in keys]
        return count

    patch.setattr(ModelReader, "erase_namespace_keys", keep)


def details_as_they_are(patch: pytest.MonkeyPatch) -> None:
    """What a run closed with is not encrypted."""
    patch.setattr(Concealing, "_detailed", lambda _, one: one)


def believe_what_was_heard_last(patch: pytest.MonkeyPatch) -> None:
    """A node that has not heard from the store for long does not ask before it opens something."""

    async def trust(_: Keys) -> None:
        """What is known is good enough."""

    async def seldom(self: Keys) -> None:
        while True:
            await asyncio.sleep(30.0)
            await self.read()

    patch.setattr(Keys, "fresh", trust)
    patch.setattr(Keys, "_beat", seldom)


def go_on_after_the_erasure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Erasure, "_hear", lambda *_: None)


PLANTED: list[tuple[Plant, str, dict[str, Any]]] = [
    (arm_before_commit, "durable", {}),
    (no_fence, "epochs", {"nodes": 3, "pauses": 3, "pause_s": (8.0, 16.0)}),
    (fence_without_lock, "epochs", {"nodes": 3, "pauses": 3, "lock_wait": 0.5, "lock_wait_s": 6.0}),
    (rewrite_epochs, "epochs", {"nodes": 3, "crashes": 3}),
    (forget_what_was_taken, "signals", {"crashes": 4}),
    (early_timers, "timers", {}),
    (early_retries, "retries", {"refuse": 0.3, "clock_jumps": 0}),
    (lose_messages_while_parking, "live", {"nodes": 1}),
    (
        sleep_over_unread_mail,
        "live",
        {"nodes": 1, "crashes": 12, "lost_answer": 0.3, "options": EngineOptions(park_after_s=0.0)},
    ),
    (end_steps_twice, "journals", {}),
    (act_for_ever, "owners", {"nodes": 3, "pauses": 3, "pause_s": (8.0, 16.0)}),
    (no_compensations, "undo", {}),
    (no_intent, "once", {}),
    (repeat_what_may_not_be, "once", {"crashes": 4, "nodes": 1}),
    (ignore_start_keys, "starts", {"crashes": 4, "nodes": 1}),
    (hear_what_comes_before_what_came, "live", {"nodes": 1, "pause": 0.8, "runs": 40, "read_s": (0.02, 0.2)}),
    (out_of_order, "order", {"nodes": 3, "runs": 40}),
    (begin_again, "finished", {"nodes": 1}),
    (attempt_twice, "repeats", {"nodes": 1}),
    (take_loss_for_success, "effects", {"lose_before": 0.2}),
    (another_event, "events", {}),
    (unsealed_segment, "evidence", {}),
    (close_otherwise, "outcomes", {}),
    (hide_the_rewind, "rewound", {"nodes": 2, "fail_overs": 1}),
    (stumble, "quiet", {}),
    (go_on_while_paused, "pauses", {"pause": 0.8}),
    (forget_what_came_while_paused, "signals", {"pause": 0.8}),
    (fork_with_another_input, "forks", {"fork": 1.0}),
    (believe_absence_at_once, "probes", {"slow": 0.4}),
    # Code that a run does not fit blocks it, so that it never ends.
    (move_untried, "live", {"versions": True, "move": 1.0}),
    (move_what_was_tried_before, "versions", {"versions": True, "move": 1.0, "read_s": (0.05, 0.5)}),
    (drive_by_the_current_code, "versions", {"versions": True, "nodes": 1, "crashes": 4}),
    (move_the_row_alone, "versions", {"versions": True, "move": 1.0}),
    (write_under_any_lease, "places", APART),
    (tell_nobody_whose_it_is, "live", APART),
    (drive_what_is_in_the_keeping, "places", {**APART, "pools": (("v1",), ("v1",), ("v2",)), "crashes": 4}),
    (tick_without_revision, "ticks", {"nodes": 3, "schedules": 3}),
    (advance_without_the_start, "ticks", {"schedules": 3}),
    (forget_the_fresh_shards, "ticks", {"nodes": 3, "schedules": 3}),
    (late_at_once, "ticks", {"schedules": 3}),
    (early_ticks, "ticks", {"schedules": 3}),
    (nobody_is_in_the_way, "ticks", {"schedules": 3}),
    (forget_the_permits, "limits", {"nodes": 3, "crashes": 3, **CROWDED}),
    (give_turns_without_the_fence, "limits", HELD_UP),
    (limit_all_but_no_key, "limits", {"nodes": 1, **NARROW}),
    (keep_the_word_of_a_turn_that_went_back, "turns", STRANDED),
    (forget_whose_turn_went_back, "live", STRANDED),
    (keep_the_permit_of_a_turn_that_went_back, "live", STRANDED),
    (begin_without_a_turn, "turns", {"nodes": 1, "pause": 0.8, **CROWDED}),
    (stay_with_one_key, "fair", {"nodes": 1, "crashes": 0, "lost_answer": 0.0, **CROWDED}),
    (forget_the_levels, "fair", {"nodes": 1, "crashes": 0, "lost_answer": 0.0, **CROWDED}),
    (trust_what_is_heard, "ordered", {"nodes": 3, **IN_ORDER}),
    (wake_what_was_parked, "idle", {"nodes": 1, "options": EngineOptions(park_after_s=0.0)}),
    (count_only_our_own_permits, "calls", {"nodes": 3, "limit_concurrency": 1, "limit_rate": None, "runs": 40}),
    (
        free_the_permits_of_the_dead_at_once,
        "calls",
        {"nodes": 3, "limit_concurrency": 1, "limit_rate": None, "runs": 40, "crashes": 4},
    ),
    (use_what_ran_out, "calls", HELD_BACK),
    (a_bucket_for_each_node, "calls", {"nodes": 3, "limit_rate": 5.0, "limit_burst": 2, "runs": 40}),
    (refer_before_keeping, "payloads", {"nodes": 1, "crashes": 4, **LARGE}),
    (say_nothing_of_uses, "payloads", LARGE),
    (take_over_without_a_word, "payloads", LARGE),
    (collect_without_grace, "payloads", SWEPT),
    (collect_what_closed_runs_use, "payloads", SWEPT),
    (collect_nothing, "payloads", {**SWEPT, "payload_away": 0.5, "crashes": 4}),
    (start_without_a_word, "payloads", {"schedules": 3, **LARGE}),
    (
        begin_whatever_was_found,
        "writes",
        {"nodes": 3, "lanes": 3, "schedules": 3, "lost_answer": 0.2, "patience_s": 2.0, "retention": None},
    ),
    (remove_what_is_young, "kept", {"retention": EAGER, "clock_jumps": 0, "skew_s": 0.0}),
    (remove_whatever_hangs_on_it, "kept", {"retention": EAGER, "fork": 1.0, "runs": 24}),
    (remove_nothing, "due", {"retention": EAGER}),
    (remove_without_a_word, "trims", {"retention": EAGER}),
    (say_it_in_the_journal_alone, "found", {}),
    (forks_say_nothing, "found", {"fork": 1.0, "runs": 24}),
    (keep_what_was_taken_back, "found", {}),
    (erase_and_keep_the_key, "erased", {"erasure": True}),
    (details_as_they_are, "erased", {"erasure": True}),
    (believe_what_was_heard_last, "erased", {"erasure": True, "nodes": 3}),
    (go_on_after_the_erasure, "live", {"erasure": True}),
    (forget_what_was_given_of_a_budget, "calls", {"nodes": 3, "limit_budget": 1, "limit_rate": None, "runs": 24}),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("plant", "rule", "where"), PLANTED, ids=lambda one: getattr(one, "__name__", None))
def test_a_planted_bug_is_found(
    plant: Plant, rule: str, where: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    others: set[str] = set()
    for seed in range(WITHIN):
        plan = draw(seed, where.get("nodes"))
        changed = {name: value for name, value in where.items() if name != "nodes"}
        found = {finding.rule for finding in simulate(seed, plan=msgspec.structs.replace(plan, **changed)).findings}
        if rule in found:
            return
        others |= found
    pytest.fail(f"{plant.__name__} was not found by rule {rule} in {WITHIN} worlds; others found: {sorted(others)}")
