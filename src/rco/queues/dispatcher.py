"""The owner's side of queues: who owns a queue's shard gives its turns, each in a commit that the shard's lease fences.

A turn is one commit: the item holds a permit, and the run has a message that says so. Whoever owns the run takes the
message and begins it; the permit goes with the commit that closes the run. So permits are rows, and who takes a queue
over counts them before it gives a turn: no limit is passed, whatever the former owner had sent.

The store is read (``rco.queues.reading``) when a queue is taken over, a page of a key when its turn is near, and, where
other nodes write too, when one of them says that it did, or once every few seconds: never once a turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from rco.engine.engine import Engine
from rco.engine.live import Live
from rco.errors import Overloaded, RcoError
from rco.kit.clock import MICROS, Clock
from rco.kit.ids import id_text
from rco.kit.lifecycle import stop_task
from rco.model.decision import Decision, Verb
from rco.model.message import BEGIN, Message
from rco.model.queue import Item, ItemState, Place, Queue, queue_shard
from rco.queues.held import Held
from rco.queues.line import Key, Line
from rco.queues.options import QueueOptions
from rco.queues.reading import Reading
from rco.store.contract.ownership import Ownership, Shards
from rco.store.contract.queues import Counted, ItemChange, ItemDone, QueueState
from rco.store.contract.reader import Reader
from rco.store.contract.writer import Writer

__all__ = ["Dispatcher"]

KEYS_AT_A_TIME = 64
"""Of an ordered queue each turn is read: those of so many keys together."""
IDLE_S = 30.0
"""How often a sole owner looks, who hears of everything."""
UNCOUNTED_MAX = 5
"""So many counts are passed over in a queue that does not stand still; then one that is a little off is taken."""
_NOTHING = msgspec.msgpack.encode(None)


class Dispatcher:
    """Gives the turns of the queues whose shards this node owns. Lives on the loop that started it.

    ``on_granted(queue, waited_s)`` is called for each turn that is committed, ``on_declared(queue)`` for each queue
    that is declared later, ``on_trouble(queue, error)`` when a queue cannot be read now and is
    tried again.
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
        self._held: dict[str, Held] = {}
        self._counted: dict[str, Counted] = {}
        self._since: dict[str, int] = {}
        """Runs that began to wait here since the last count, of queues of other nodes."""
        self._poll: asyncio.Task[None] | None = None
        self._poke = asyncio.Event()
        self._begun = self._stopping = False
        self._starved = False
        """A turn was not given because too many runs are in memory."""
        self.on_granted: list[Callable[[str, float], None]] = []
        self.on_declared: list[Callable[[str], None]] = []
        self.on_trouble: list[Callable[[str, Exception], None]] = []
        self._reading = Reading(reader, writer, clock, held=self._current, more=self._kick, trouble=self._trouble)
        queueing = engine.queueing
        queueing.admit = self._admit
        queueing.on_waiting.append(self._waiting)
        queueing.on_held.append(self._set_aside)
        queueing.on_returned.append(self._returned)
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
        await self._reading.stop()

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
                self._held[name] = Held(line, shard, set(), set(), set())
                self._reading.refresh(self._held[name])

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

    def _waiting(self, run_id: bytes, place: Place, since_us: int, again: bool) -> None:
        held = self._held.get(place.queue)
        if held is None:
            self._since[place.queue] = self._since.get(place.queue, 0) + 1
            return
        held.changed.discard(run_id)
        held.line.push(Item(run_id, place.queue, place.key, place.priority, ItemState.WAITING, since_us), again)
        self._kick(held)

    def _set_aside(self, run_id: bytes, queue: str) -> None:
        held = self._held.get(queue)
        if held is not None and run_id not in held.line.running:
            held.heard(run_id, freed=False)
            held.line.drop(run_id)

    def _returned(self, run_id: bytes, queue: str) -> None:
        held = self._held.get(queue)
        if held is not None:
            held.heard(run_id, freed=True)
            held.line.release(run_id)
            self._kick(held)

    def _closed(self, live: Live, _outcome: object, _value: object) -> None:
        if self._starved:
            self._starved = False
            for other in self._held.values():
                self._kick(other)
        held = None if live.queue is None else self._held.get(live.queue)
        if held is None:
            return
        held.heard(live.run_id, freed=True)
        if not held.line.release(live.run_id):
            held.line.drop(live.run_id)
        self._kick(held)

    def _poked(self, shard: int) -> None:
        """Another node wrote to a queue of this shard."""
        for held in self._held.values():
            if held.shard == shard:
                self._reading.refresh(held)

    # -- looking -----------------------------------------------------------------------------------------------------

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
                self._reading.refresh(held)
            now_s = self._clock.monotonic()
            if not alone and now_s - last_count_s >= self._options.count_s:
                last_count_s = now_s
                with suppress(RcoError):
                    await self._count()

    async def _count(self) -> None:
        self._since = {}
        before = {name: held.line.waiting for name, held in self._held.items() if not held.granting}
        self._counted = {one.queue: one for one in await self._reader.queue_counts()}
        for name, held in self._held.items():
            if not held.line.ready or held.reads:
                continue
            if held.uncounted < UNCOUNTED_MAX and (held.granting or before.get(name) != held.line.waiting):
                # Who had a turn meanwhile may be counted, and who came may not: memory knows better, for a while.
                held.uncounted += 1
                continue
            held.uncounted = 0
            counted = self._counted.get(name)
            held.line.waiting = 0 if counted is None else counted.waiting

    def _current(self, held: Held) -> bool:
        return not self._stopping and self._held.get(held.line.name) is held

    def _trouble(self, queue: str, problem: Exception) -> None:
        for listener in self.on_trouble:
            listener(queue, problem)

    # -- giving turns ------------------------------------------------------------------------------------------------

    def kick(self, queue: str) -> None:
        """Look at the queue anew: it was paused or resumed here, or on behalf of somebody."""
        held = self._held.get(queue)
        if held is not None:
            self._reading.refresh(held)

    def set_paused(self, state: QueueState) -> None:
        """The state was committed by this node."""
        held = self._held.get(state.queue)
        if held is not None:
            held.line.paused = state.paused
            self._kick(held)

    def _kick(self, held: Held) -> None:
        """Give turns at the end of this turn of the loop: what comes in it shares a commit."""
        if not held.kicked and not self._stopping:
            held.kicked = True
            asyncio.get_running_loop().call_soon(self._pump, held)

    def _pump(self, held: Held) -> None:
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
                near += line.unread(found, KEYS_AT_A_TIME) if line.spec.ordered else [found]
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
            self._reading.near(held, near)
        if line.wants_keys:
            self._reading.refresh(held)

    def _give(self, held: Held, items: list[Item]) -> None:
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
        begins: list[Message] = []
        for item in items:
            held.granting.add(item.run_id)
            changes.queues.append(ItemChange(item.run_id, line.name, ItemDone.GRANT, now_us))
            begin = Message(item.run_id, BEGIN, BEGIN, BEGIN, _NOTHING, now_us)
            begins.append(begin)
            changes.messages.append(begin)
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
        changes.then.append((self._given, (held, items, begins)))
        changes.lost.append(partial(self._lost, held))

    def _given(self, held: Held, items: list[Item], begins: list[Message]) -> None:
        held.granting.difference_update([item.run_id for item in items])
        for item, begin in zip(items, begins, strict=True):
            self._engine.given(item.run_id, begin)
            waited_s = max(0.0, (begin.at_us - item.since_us) / MICROS)
            for listener in self.on_granted:
                listener(held.line.name, waited_s)
        self._kick(held)

    def _lost(self, held: Held, _: BaseException) -> None:
        """The turns were not given. The line is read anew, if it is still this node's."""
        name = held.line.name
        if self._held.get(name) is held:
            del self._held[name]
            if not self._stopping:
                self._take_up()
