"""Reading a queue's line from the store: all of it when the queue is taken over, then a page of a key when its turn is
near, and anew where other nodes write too. Nothing is decided here; who holds the line is told when there is more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from rco.kit.clock import Clock
from rco.kit.lifecycle import stop_task
from rco.model.queue import Item
from rco.queues.held import Held
from rco.queues.line import Key
from rco.store.contract.reader import Reader
from rco.store.contract.writer import Writer

__all__ = ["Reading"]

KEYS_PAGE = 500
_LAST = "\U0010ffff"
"""Behind every fairness key."""
AGAIN_S = 0.5
"""After a read that failed."""


class Reading:
    """Reads lines on tasks of its own, one reading of a line at a time, and insists where the store is away.

    ``held(line)`` says whether the line is still this node's; what is read of one that is not is dropped.
    ``more(line)`` is called after each reading, ``trouble(queue, error)`` when one failed and is tried again.
    """

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        clock: Clock,
        *,
        held: Callable[[Held], bool],
        more: Callable[[Held], None],
        trouble: Callable[[str, Exception], None],
    ) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._held, self._more, self._trouble = held, more, trouble
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End what is under way. ``held`` must say no from then on."""
        for task in list(self._tasks):
            await stop_task(task)

    def refresh(self, held: Held) -> None:
        """Read the line anew, once more when it is being read already."""
        held.stale = True
        if not held.reading and self._held(held):
            held.reading = True
            self._spawn(self._read_while_stale(held))

    def near(self, held: Held, keys: list[Key]) -> None:
        """Read on in ``keys``: their turns are near, and memory holds few or none of their runs."""
        self._spawn(self._fill_near(held, keys))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_while_stale(self, held: Held) -> None:
        try:
            while held.stale and self._held(held):
                held.stale = False
                began_s = self._clock.monotonic()
                try:
                    await self._read(held)
                except Exception as problem:  # noqa: BLE001 - the store is away for a moment
                    self._trouble(held.line.name, problem)
                    held.stale = True
                    await asyncio.sleep(AGAIN_S)
                    continue
                self._more(held)
                # However many notices come, reading takes a part of the time and no more.
                await asyncio.sleep(min(0.25, 2 * (self._clock.monotonic() - began_s)))
        finally:
            held.reading = False

    async def _read(self, held: Held) -> None:
        line, name = held.line, held.line.name
        held.begin_read()
        try:
            first = not line.ready
            if first:
                await self._settled(held.shard)
            known = line.running.keys() - held.granting
            states = {one.queue: one for one in await self._reader.queue_states()}
            running = {item.run_id: item for item in await self._reader.queue_running(name)}
            if not self._held(held):
                return
            state = states.get(name)
            line.paused = state is not None and state.paused
            # What was granted before this read began, and is not there, has closed on another node.
            for run_id in known - running.keys():
                line.release(run_id)
            for run_id, item in running.items():
                if run_id not in held.freed:
                    line.hold(run_id, item.key)
            if first:
                counted = {one.queue: one for one in await self._reader.queue_counts()}.get(name)
                # What came while it was counted is in it, or is one too few until the next count.
                line.waiting = counted.waiting if counted is not None else 0
                line.ready = True
            await self._read_keys(held, first)
        finally:
            held.end_read()

    async def _settled(self, shard: int) -> None:
        """Wait until what was added for the shard is committed or lost: a turn given before must be seen."""
        done = asyncio.get_running_loop().create_future()
        changes = self._writer.changes(shard)
        changes.then.append((_end, (done,)))
        changes.lost.append(partial(_end, done))
        await done

    async def _read_keys(self, held: Held, first: bool) -> None:
        """Take up keys that are not known; of those that are, it is only known that more may wait."""
        line, after = held.line, None
        line.more_keys = False
        while True:
            found = await self._reader.queue_keys(line.name, after, KEYS_PAGE)
            if not found or not self._held(held):
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

    async def _fill_near(self, held: Held, keys: list[Key]) -> None:
        try:
            await self._fill(held, list(dict.fromkeys(keys)))
        except Exception as problem:  # noqa: BLE001 - likewise
            self._trouble(held.line.name, problem)
            await asyncio.sleep(AGAIN_S)
            self._more(held)

    async def _fill(self, held: Held, keys: list[Key]) -> None:
        line = held.line
        wanted = [key for key in keys if not key.asked and key.more]
        if not wanted:
            return
        for key in wanted:
            line.ask(key)
        held.begin_read()
        try:
            names = [(key.level, key.name) for key in wanted]
            sent = Counter(line.running.get(run_id, "") for run_id in held.granting)
            most = max((sent[key.name] for key in wanted), default=0)
            items = await self._reader.queue_heads(line.name, names, line.page + most)
            if not self._held(held):
                return
            by_key: dict[tuple[int, str], list[Item]] = {name: [] for name in names}
            for item in items:
                by_key[item.priority, item.key].append(item)
            for key in wanted:
                if line.keys.get((key.level, key.name)) is key:
                    line.fill(key, by_key[key.level, key.name], held.changed)
        finally:
            for key in wanted:
                key.asked = False
            held.end_read()
        self._more(held)


def _end(done: asyncio.Future[None], _: BaseException | None = None) -> None:
    if not done.done():
        done.set_result(None)
