"""The owner's side of queues: who owns a queue's shard gives its turns, each in a commit that the shard's lease fences.

A turn is one commit: the item holds a permit, and the run has a message that says so. Whoever owns the run takes the
message and begins it; the permit goes with the commit that closes the run. So permits are rows, and who takes a queue
over counts them before it gives a turn: no limit is passed, whatever the former owner had sent.

The store is read when a queue is taken over, a page of a key when its turn is near, and, where other nodes write too,
when one of them says that it did, or once every few seconds: never once a turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from rco.engine.engine import Engine
from rco.engine.live import Live
from rco.engine.queueing import BEGIN
from rco.errors import Overloaded, RcoError
from rco.kit.clock import MICROS, Clock
from rco.kit.ids import id_text
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision, Verb
from rco.model.message import Message
from rco.model.queue import Item, ItemState, Place, Queue, queue_shard
from rco.queues.line import Key, Line
from rco.queues.options import QueueOptions
from rco.store.contract.ownership import Ownership, Shards
from rco.store.contract.queues import Counted, ItemChange, ItemDone, QueueState
from rco.store.contract.reader import Reader
from rco.store.contract.writer import Writer

__all__ = ["Dispatcher"]

KEYS_PAGE = 500
_LAST = "\U0010ffff"
"""Behind every fairness key."""
AGAIN_S = 0.5
"""After a read that failed."""
IDLE_S = 30.0
"""How often a sole owner looks, who hears of everything."""
_NOTHING = msgspec.msgpack.encode(None)


class _Held(msgspec.Struct):
    """A line in memory, with what is under way for it."""

    line: Line
    shard: int
    granting: set[bytes]
    """Runs whose turn is being committed."""
    changed: set[bytes]
    """Runs that were heard of while a read was under way: what it says of them is old."""
    reads: int = 0
    kicked: bool = False
    stale: bool = True
    """It is to be read anew."""
    reading: bool = False


class Dispatcher:
    """Gives the turns of the queues whose shards this node owns. Lives on the loop that started it.

    ``on_granted(queue, waited_s)`` is called for each turn that is committed, ``on_declared(queue)`` for each queue
    that is declared later, ``on_trouble(queue, error)`` when a queue
    cannot be read now and is tried again.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        reader: Reader,
        ownership: Ownership,
        *,
        clock: Clock,
        queues: Mapping[str, Queue] | None = None,
        options: QueueOptions | None = None,
    ) -> None:
        self._engine, self._writer, self._reader, self._ownership = engine, writer, reader, ownership
        self._clock, self._options = clock, options or QueueOptions()
        self._queues: dict[str, Queue] = {}
        self._held: dict[str, _Held] = {}
        self._counted: dict[str, Counted] = {}
        self._since: dict[str, int] = {}
        """Runs that began to wait here since the last count, of queues of other nodes."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._poll: asyncio.Task[None] | None = None
        self._poke = asyncio.Event()
        self._begun = self._stopping = False
        self._starved = False
        """A turn was not given because too many runs are in memory."""
        self.on_granted: list[Callable[[str, float], None]] = []
        self.on_declared: list[Callable[[str], None]] = []
        self.on_trouble: list[Callable[[str, Exception], None]] = []
        self.reads = 0
        queueing = engine.queueing
        queueing.admit = self._admit
        queueing.on_waiting.append(self._waiting)
        queueing.on_held.append(self._set_aside)
        engine.on_closed(self._closed)
        engine.on_poke(self._poked)
        ownership.on_gained(self._gained)
        ownership.on_leaving(self._leaving)
        self.reload(queues or {})

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to give turns."""
        self._begun = True
        self._take_up()
        self._poll = asyncio.get_running_loop().create_task(self._look(), name="rco-queues")

    async def stop(self) -> None:
        """Give no more turns. Whose turn was committed begins wherever its shard is owned. May be called twice."""
        self._stopping = True
        await stop_task(self._poll)
        for task in list(self._tasks):
            await stop_task(task)

    def reload(self, queues: Mapping[str, Queue]) -> None:
        """Go on with other queues. Runs in one that is no longer declared wait until it is again."""
        added = queues.keys() - self._queues.keys()
        self._queues = dict(queues)
        self._engine.queueing.queues = self._queues
        self._tell_declared(set(added))
        for name in [name for name in self._held if name not in self._queues]:
            del self._held[name]
        for name, held in self._held.items():
            held.line.change(self._queues[name])
            self._kick(held)
        if self._begun:
            self._take_up()

    def _tell_declared(self, names: set[str]) -> None:
        for name in sorted(names):
            for listener in self.on_declared:
                listener(name)

    def _take_up(self) -> None:
        for name, spec in self._queues.items():
            shard = queue_shard(name)
            if name not in self._held and self._ownership.owns(shard):
                line = Line(name, spec, self._options.page, self._options.keys_limit)
                self._held[name] = _Held(line, shard, set(), set())
                self._refresh(self._held[name])

    def _gained(self, shards: Shards) -> None:
        for name in [name for name, held in self._held.items() if held.shard in shards]:
            del self._held[name]
        if self._begun and not self._stopping:
            self._take_up()

    def _leaving(self, shards: Shards) -> None:
        for name in [name for name, held in self._held.items() if held.shard in shards]:
            del self._held[name]

    # -- what others may know ----------------------------------------------------------------------------------------

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The declared ones."""
        return self._queues

    def lines(self) -> list[Line]:
        """The queues whose turns are given here, as memory has them."""
        return [held.line for held in self._held.values()]

    def _admit(self, queue: str, count: int) -> None:
        """Raise ``Overloaded`` when ``count`` more runs may not wait. A bound against a flood, not an account: what
        other nodes let in is seen at the next count."""
        held, limit = self._held.get(queue), self._queues[queue].waiting_limit
        if held is not None:
            waiting = held.line.waiting
        else:
            counted = self._counted.get(queue)
            waiting = (counted.waiting if counted is not None else 0) + self._since.get(queue, 0)
        if waiting + count > limit:
            raise Overloaded(
                f"{waiting} runs wait in queue {queue}; the limit is {limit}.",
                cure=f"Wait for its turns, or raise queues.{queue}.waiting_limit.",
            )

    # -- hearing -----------------------------------------------------------------------------------------------------

    def _waiting(self, run_id: bytes, place: Place, since_us: int) -> None:
        held = self._held.get(place.queue)
        if held is None:
            self._since[place.queue] = self._since.get(place.queue, 0) + 1
            return
        held.changed.discard(run_id)
        held.line.push(Item(run_id, place.queue, place.key, place.priority, ItemState.WAITING, since_us))
        self._kick(held)

    def _set_aside(self, run_id: bytes, queue: str) -> None:
        held = self._held.get(queue)
        if held is not None and run_id not in held.line.running:
            self._heard(held, run_id)
            held.line.drop(run_id)

    def _closed(self, live: Live, _outcome: object, _value: object) -> None:
        if self._starved:
            self._starved = False
            for other in self._held.values():
                self._kick(other)
        held = None if live.queue is None else self._held.get(live.queue)
        if held is None:
            return
        self._heard(held, live.run_id)
        if not held.line.release(live.run_id):
            held.line.drop(live.run_id)
        self._kick(held)

    def _heard(self, held: _Held, run_id: bytes) -> None:
        if held.reads:
            held.changed.add(run_id)

    def _poked(self, shard: int) -> None:
        """Another node wrote to a queue of this shard."""
        for held in self._held.values():
            if held.shard == shard:
                self._refresh(held)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """The safety net: what was not heard of is found."""
        last_count_s = -self._options.count_s
        while True:
            alone = self._ownership.shards() is None
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S if alone else self._options.poll_s):
                    await self._poke.wait()
            self._poke.clear()
            if not self._queues:
                continue
            for held in list(self._held.values()):
                self._refresh(held)
            now_s = self._clock.monotonic()
            if not alone and now_s - last_count_s >= self._options.count_s:
                last_count_s = now_s
                with suppress(RcoError):
                    await self._count()

    async def _count(self) -> None:
        self._since = {}
        self.reads += 1
        self._counted = {one.queue: one for one in await self._reader.queue_counts()}
        for name, held in self._held.items():
            if held.line.ready and not held.reads:
                counted = self._counted.get(name)
                held.line.waiting = 0 if counted is None else counted.waiting

    def _refresh(self, held: _Held) -> None:
        """Read the line anew, once more when it is being read already."""
        held.stale = True
        if not held.reading and not self._stopping:
            held.reading = True
            self._spawn(self._read_while_stale(held))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _current(self, held: _Held) -> bool:
        return not self._stopping and self._held.get(held.line.name) is held

    async def _read_while_stale(self, held: _Held) -> None:
        try:
            while held.stale and self._current(held):
                held.stale = False
                began_s = self._clock.monotonic()
                try:
                    await self._read(held)
                except Exception as problem:  # noqa: BLE001 - the store is away for a moment
                    self._trouble(held, problem)
                    held.stale = True
                    await asyncio.sleep(AGAIN_S)
                    continue
                self._kick(held)
                # However many notices come, reading takes a part of the time and no more.
                await asyncio.sleep(min(0.25, 2 * (self._clock.monotonic() - began_s)))
        finally:
            held.reading = False

    def _trouble(self, held: _Held, problem: Exception) -> None:
        for listener in self.on_trouble:
            listener(held.line.name, problem)

    async def _read(self, held: _Held) -> None:
        line, name = held.line, held.line.name
        self._begin_read(held)
        try:
            first = not line.ready
            if first:
                await self._settled(held.shard)
            known = line.running.keys() - held.granting
            states = {one.queue: one for one in await self._reader.queue_states()}
            running = {item.run_id: item for item in await self._reader.queue_running(name)}
            if not self._current(held):
                return
            state = states.get(name)
            line.paused = state is not None and state.paused
            # What was granted before this read began, and is not there, has closed on another node.
            for run_id in known - running.keys():
                line.release(run_id)
            for run_id, item in running.items():
                if run_id not in held.changed:
                    line.hold(run_id, item.key)
            if first:
                counted = {one.queue: one for one in await self._reader.queue_counts()}.get(name)
                # What came while it was counted is in it, or is one too few until the next count.
                line.waiting = counted.waiting if counted is not None else 0
                line.ready = True
            await self._read_keys(held, first)
        finally:
            self._end_read(held)

    async def _settled(self, shard: int) -> None:
        """Wait until what was added for the shard is committed or lost: a turn given before must be seen."""
        done = asyncio.get_running_loop().create_future()
        changes = self._writer.changes(shard)
        changes.then.append((_end, (done,)))
        changes.lost.append(partial(_end, done))
        await done

    async def _read_keys(self, held: _Held, first: bool) -> None:
        """Take up keys that are not known; of those that are, it is only known that more may wait."""
        line, after = held.line, None
        line.more_keys = False
        while True:
            found = await self._reader.queue_keys(line.name, after, KEYS_PAGE)
            if not found or not self._current(held):
                return
            after = found[-1]
            fresh: list[Key] = []
            for level, name in found:
                key = line.keys.get((level, name))
                if key is None:
                    if not line.takes_key(level):
                        # The rest of this level joins when others run dry; what is urgent does not wait for it.
                        after = (level, _LAST)
                        break
                    key = line.key(level, name, new=not first)
                    fresh.append(key)
                key.more = True
            await self._fill(held, fresh)
            if len(found) < KEYS_PAGE and after == found[-1]:
                return

    async def _fill(self, held: _Held, keys: list[Key]) -> None:
        line = held.line
        wanted = [key for key in keys if not key.asked and key.more]
        if not wanted:
            return
        for key in wanted:
            line.ask(key)
        self._begin_read(held)
        try:
            self.reads += 1
            names = [(key.level, key.name) for key in wanted]
            sent = Counter(line.running.get(run_id, "") for run_id in held.granting)
            most = max((sent[key.name] for key in wanted), default=0)
            items = await self._reader.queue_heads(line.name, names, line.page + most)
        finally:
            for key in wanted:
                key.asked = False
            self._end_read(held)
        if not self._current(held):
            return
        by_key: dict[tuple[int, str], list[Item]] = {name: [] for name in names}
        for item in items:
            by_key[item.priority, item.key].append(item)
        for key in wanted:
            if line.keys.get((key.level, key.name)) is key:
                line.fill(key, by_key[key.level, key.name], held.changed)
        self._kick(held)

    def _begin_read(self, held: _Held) -> None:
        held.reads += 1

    def _end_read(self, held: _Held) -> None:
        held.reads -= 1
        if not held.reads:
            held.changed.clear()

    # -- giving turns ------------------------------------------------------------------------------------------------

    def kick(self, queue: str) -> None:
        """Look at the queue anew: it was paused or resumed here, or on behalf of somebody."""
        held = self._held.get(queue)
        if held is not None:
            self._refresh(held)

    def set_paused(self, state: QueueState) -> None:
        """The state was committed by this node."""
        held = self._held.get(state.queue)
        if held is not None:
            held.line.paused = state.paused
            self._kick(held)

    def _kick(self, held: _Held) -> None:
        """Give turns at the end of this turn of the loop: what comes in it shares a commit."""
        if not held.kicked and not self._stopping:
            held.kicked = True
            asyncio.get_running_loop().call_soon(self._pump, held)

    def _pump(self, held: _Held) -> None:
        held.kicked = False
        line = held.line
        if not self._current(held) or not line.ready or line.paused or self._engine.draining:
            return
        given: list[Item] = []
        near: list[Key] = []
        room = self._engine.room - sum(len(one.granting) for one in self._held.values())
        while line.has_room:
            if room <= len(given):
                self._starved = True
                break
            if len(given) >= self._options.grants_at_a_time:
                self._kick(held)
                break
            found = line.next()
            if isinstance(found, Key):
                near.append(found)
                break
            if found is None:
                break
            given.append(found)
            key = line.keys.get((found.priority, found.key))
            if key is not None and key.more and len(key.items) <= line.page // 2:
                near.append(key)
        if given:
            self._give(held, given)
        if near:
            self._spawn(self._fill_near(held, near))
        if line.wants_keys:
            self._refresh(held)

    async def _fill_near(self, held: _Held, keys: list[Key]) -> None:
        try:
            await self._fill(held, list(dict.fromkeys(keys)))
        except Exception as problem:  # noqa: BLE001 - likewise
            self._trouble(held, problem)
            await asyncio.sleep(AGAIN_S)
            self._kick(held)

    def _give(self, held: _Held, items: list[Item]) -> None:
        line, now_us = held.line, self._clock.now_us()
        try:
            changes = self._writer.changes(held.shard)
        except RcoError:
            # Nothing can be written any more; the node stops.
            return
        spec = line.spec
        limits: dict[str, str | int | bool] = {}
        if spec.concurrency is not None:
            limits["concurrency"] = spec.concurrency
        if spec.per_key_concurrency is not None:
            limits["per_key_concurrency"] = spec.per_key_concurrency
        for item in items:
            held.granting.add(item.run_id)
            changes.queues.append(ItemChange(item.run_id, line.name, ItemDone.GRANT, now_us))
            changes.messages.append(Message(item.run_id, BEGIN, BEGIN, BEGIN, _NOTHING, now_us))
            facts = {"fair_key": item.key, "priority": item.priority, "weight": spec.weights.get(item.key, 1), **limits}
            changes.decisions.append(
                Decision(
                    verb=Verb.DISPATCH,
                    at_us=now_us,
                    actor=f"queue:{line.name}",
                    subject=line.name,
                    run=id_text(item.run_id),
                    facts=facts,
                )
            )
        changes.records += 2 * len(items)
        changes.then.append((self._given, (held, items, now_us)))
        changes.lost.append(partial(self._lost, held))

    def _given(self, held: _Held, items: list[Item], now_us: int) -> None:
        held.granting.difference_update([item.run_id for item in items])
        for item in items:
            waited_s = max(0.0, (now_us - item.since_us) / MICROS)
            for listener in self.on_granted:
                listener(held.line.name, waited_s)
        self._kick(held)

    def _lost(self, held: _Held, _: BaseException) -> None:
        """The turns were not given. The line is read anew, if it is still this node's."""
        name = held.line.name
        if self._held.get(name) is held:
            del self._held[name]
            if not self._stopping:
                self._take_up()


def _end(done: asyncio.Future[None], _: BaseException | None = None) -> None:
    if not done.done():
        done.set_result(None)
