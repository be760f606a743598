"""Questions about single runs that come at the same time are put as one, and each gets its own answer."""

from __future__ import annotations

import asyncio

import pytest

from rco.kit.gather import MOST, UNDER_WAY, Gather


def name(number: int) -> bytes:
    return number.to_bytes(4, "big")


class Store:
    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.problem: Exception | None = None

    async def read(self, run_ids: list[bytes]) -> dict[bytes, str]:
        self.asked.append(run_ids)
        await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        return {run_id: run_id.hex() for run_id in run_ids if run_id != name(13)}


async def test_who_asks_in_the_same_turn_goes_together() -> None:
    store = Store()
    gather = Gather(store.read)
    answers = await asyncio.gather(*(gather(name(number)) for number in (1, 2, 13, 1)))
    assert answers == [name(1).hex(), name(2).hex(), None, name(1).hex()]
    assert store.asked == [[name(1), name(2), name(13)]]


async def test_who_comes_while_others_are_asked_for_waits_and_no_question_is_lost() -> None:
    store = Store()
    store.gate.clear()
    gather = Gather(store.read)
    count = 5 * MOST
    tasks = [asyncio.create_task(gather(name(number))) for number in range(count)]
    while len(store.asked) < UNDER_WAY:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(store.asked) == UNDER_WAY
    store.gate.set()
    assert await asyncio.gather(*tasks) == [name(n).hex() if n != 13 else None for n in range(count)]
    assert max(map(len, store.asked)) <= MOST


async def test_a_question_after_another_was_sent_is_asked_anew() -> None:
    """An answer may not be older than its question."""
    store = Store()
    store.gate.clear()
    gather = Gather(store.read)
    first = asyncio.create_task(gather(name(1)))
    while not store.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(gather(name(1)))
    store.gate.set()
    await asyncio.gather(first, second)
    assert store.asked == [[name(1)], [name(1)]]


async def test_trouble_is_everybodys_and_ends_with_them() -> None:
    store = Store()
    store.problem = OSError("away")
    gather = Gather(store.read)
    found = await asyncio.gather(gather(name(1)), gather(name(2)), return_exceptions=True)
    assert [str(one) for one in found] == ["away", "away"]
    store.problem = None
    assert await gather(name(1)) == name(1).hex()


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    store = Store()
    store.gate.clear()
    gather = Gather(store.read)
    given_up = asyncio.create_task(gather(name(1)))
    other = asyncio.create_task(gather(name(2)))
    while not store.asked:
        await asyncio.sleep(0)
    given_up.cancel()
    store.gate.set()
    assert await other == name(2).hex()
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_who_gives_up_while_waiting_is_not_asked_for_and_holds_nobody_up() -> None:
    store = Store()
    store.gate.clear()
    gather = Gather(store.read, most=1, under_way=1)
    tasks = [asyncio.create_task(gather(name(number))) for number in (1, 2, 3)]
    while not store.asked:
        await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    store.gate.set()
    assert [await tasks[0], await tasks[2]] == [name(1).hex(), name(3).hex()]
    assert store.asked == [[name(1)], [name(3)]]
    assert await gather(name(4)) == name(4).hex()
