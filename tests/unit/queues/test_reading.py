"""A page that is being read is old by the time it comes: what was heard meanwhile counts more."""

from __future__ import annotations

import asyncio
from typing import Any

from rco.kit.clock import SystemClock
from rco.model.queue import Item, ItemState, Queue
from rco.queues.held import Held
from rco.queues.line import Line
from rco.queues.reading import Reading


class SlowReader:
    """Answers when it is told to, with what was there when it was asked."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def queue_heads(self, queue: str, keys: Any, page: int) -> list[Item]:
        return await self._items()

    async def queue_running(self, queue: str) -> list[Item]:
        return await self._items()

    async def queue_states(self) -> list[Any]:
        return []

    async def queue_keys(self, queue: str, after: Any, limit: int) -> list[Any]:
        return []

    async def _items(self) -> list[Item]:
        found = list(self.items)
        self.asked.set()
        await self.answer.wait()
        return found


def reading_of(reader: SlowReader) -> tuple[Reading, asyncio.Event]:
    came = asyncio.Event()
    reading = Reading(
        reader,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        SystemClock(),
        held=lambda _: True,
        more=lambda _: came.set(),
        trouble=lambda *_: None,
    )
    return reading, came


async def test_a_run_that_left_while_its_page_was_read_gets_no_turn() -> None:
    gone, stays = (Item(bytes(15) + bytes((n,)), "q", "", 5, ItemState.WAITING, 0) for n in (1, 2))
    held = Held(Line("q", Queue(), 8, 8), 0, set(), set(), set())
    reader = SlowReader([gone, stays])
    reading, came = reading_of(reader)
    key = held.line.key(5, "")
    key.more = True
    reading.near(held, [key])
    await reader.asked.wait()
    held.heard(gone.run_id, freed=False)
    held.line.drop(gone.run_id)
    reader.answer.set()
    await came.wait()
    assert held.line.next() == stays
    assert held.line.next() is None
    assert not held.changed
    assert not held.freed
    await reading.stop()


async def test_of_runs_that_were_heard_of_while_it_was_read_only_those_that_closed_have_no_permit_any_more() -> None:
    """One that is paused before it has begun keeps the turn that it was given."""
    closed, paused = (Item(bytes(15) + bytes((n,)), "q", "", 5, ItemState.RUNNING, 0) for n in (1, 2))
    held = Held(Line("q", Queue(concurrency=1), 8, 8), 0, set(), set(), set())
    held.line.ready = True
    reader = SlowReader([closed, paused])
    reading, came = reading_of(reader)
    reading.refresh(held)
    await reader.asked.wait()
    held.heard(closed.run_id, freed=True)
    held.heard(paused.run_id, freed=False)
    reader.answer.set()
    await came.wait()
    assert list(held.line.running) == [paused.run_id]
    assert not held.line.has_room
    await reading.stop()
