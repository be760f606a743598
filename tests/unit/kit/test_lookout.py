"""The lookout looks by itself, when it is told, and again after trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from rco.kit.lookout import Lookout


class Looks:
    def __init__(self) -> None:
        self.count = 0
        self.fails = 0
        self.troubles: list[BaseException] = []
        self._more = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        self._more.set()
        if self.fails:
            self.fails -= 1
            raise OSError("away")

    async def until(self, count: int) -> None:
        while self.count < count:
            self._more.clear()
            await self._more.wait()


async def test_it_looks_at_the_start_and_every_beat() -> None:
    looks = Looks()
    lookout = Lookout(looks, beat_s=0.001, trouble=looks.troubles.append)
    await lookout.start()
    assert looks.count == 1
    await looks.until(3)
    await lookout.stop()
    await lookout.stop()
    assert looks.troubles == []


async def test_who_is_told_looks_when_told_and_not_by_the_beat() -> None:
    looks, told = Looks(), list[Callable[[], None]]()

    def hear(tell: Callable[[], None]) -> bool:
        # Before the first look: what changes in between is not missed.
        assert looks.count == 0
        told.append(tell)
        return True

    lookout = Lookout(looks, beat_s=0.0, trouble=looks.troubles.append, hear=hear)
    await lookout.start()
    for _ in range(100):
        await asyncio.sleep(0)
    assert looks.count == 1
    told[0]()
    await looks.until(2)
    await lookout.stop()


async def test_a_look_that_fails_is_told_and_comes_again() -> None:
    looks = Looks()
    lookout = Lookout(looks, beat_s=0.001, trouble=looks.troubles.append, hear=lambda _: True)
    await lookout.start()
    looks.fails = 2
    lookout.poke()
    await looks.until(4)
    await lookout.stop()
    assert [str(problem) for problem in looks.troubles] == ["away", "away"]


async def test_a_first_look_that_fails_is_the_callers() -> None:
    looks = Looks()
    looks.fails = 1
    lookout = Lookout(looks, beat_s=0.001, trouble=looks.troubles.append)
    with pytest.raises(OSError, match="away"):
        await lookout.start()
    await lookout.stop()
    assert looks.troubles == []


async def test_a_look_that_hangs_is_given_up() -> None:
    hanging, troubled = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        if hanging.is_set():
            await asyncio.get_running_loop().create_future()

    lookout = Lookout(look, beat_s=0.001, trouble=lambda _: troubled.set(), within_s=0.005)
    await lookout.start()
    hanging.set()
    await troubled.wait()
    await lookout.stop()
