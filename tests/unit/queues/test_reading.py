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
        found = list(self.items)
        self.asked.set()
        await self.answer.wait()
        return found


async def test_a_run_that_left_while_its_page_was_read_gets_no_turn() -> None:
    gone, stays = (Item(bytes(15) + bytes((n,)), "q", "", 5, ItemState.WAITING, 0) for n in (1, 2))
    held = Held(Line("q", Queue(), 8, 8), 0, set(), set())
    reader, came = SlowReader([gone, stays]), asyncio.Event()
    reading = Reading(
        reader,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        SystemClock(),
        held=lambda _: True,
        more=lambda _: came.set(),
        trouble=lambda *_: None,
    )
    key = held.line.key(5, "")
    key.more = True
    reading.near(held, [key])
    await reader.asked.wait()
    held.heard(gone.run_id)
    held.line.drop(gone.run_id)
    reader.answer.set()
    await came.wait()
    assert held.line.next() == stays
    assert held.line.next() is None
    assert not held.changed
    await reading.stop()
