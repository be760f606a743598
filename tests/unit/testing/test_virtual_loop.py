"""The loop that simulations stand on: order within an actor, chance between actors, time that skips."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from rco.testing.clocks import DriftingClock
from rco.testing.loop import Exhausted, VirtualLoop


@pytest.fixture
def loop():
    made = VirtualLoop(Random(1).random)
    yield made
    made.close()


def test_one_actor_keeps_its_order_and_two_are_mixed(loop) -> None:
    seen: list[tuple[str, int]] = []
    for name in ("a", "b"):
        actor = loop.actor(name)
        for number in range(50):
            loop.post(actor, seen.append, (name, number))
    loop.run_until(lambda: len(seen) == 100)
    for name in ("a", "b"):
        assert [number for who, number in seen if who == name] == list(range(50))
    assert seen != sorted(seen)


def test_time_goes_to_the_next_timer_and_no_further(loop) -> None:
    async def sleeper() -> float:
        await asyncio.sleep(3600)
        async with asyncio.timeout(10):
            await asyncio.sleep(5)
        return loop.time()

    assert loop.run_until_complete(sleeper()) == 3605.0


def test_each_actor_has_a_clock_of_its_own(loop) -> None:
    fast = loop.actor("fast", DriftingClock(loop.world, rate=2.0, boot_s=100.0))

    async def sleeper() -> float:
        await asyncio.sleep(10)
        return loop.time()

    task = loop.spawn(fast, sleeper())
    loop.run_until(task.done)
    assert task.result() == pytest.approx(110.0)
    assert loop.world.now_s == pytest.approx(5.0)


def test_the_dead_do_nothing_and_the_frozen_do_it_later(loop) -> None:
    dead, frozen, seen = loop.actor("dead"), loop.actor("frozen"), []
    loop.post_later(dead, 1.0, seen.append, "dead")
    loop.post_later(frozen, 1.0, seen.append, "frozen")
    loop.kill(dead)
    loop.freeze(frozen)
    loop.run_until(lambda: False, 5.0)
    assert seen == []
    loop.thaw(frozen)
    loop.run_until(lambda: bool(seen))
    assert seen == ["frozen"]
    assert loop.world.now_s == 5.0


def test_a_fuse_burns_in_the_middle_of_something(loop) -> None:
    actor, seen = loop.actor("node"), []
    for number in range(5):
        loop.post(actor, seen.append, number)
    loop.fuse(actor, 2, lambda: loop.kill(actor))
    loop.run_until(lambda: False, 1.0)
    assert seen == [0, 1]


def test_what_never_comes_is_told(loop) -> None:
    with pytest.raises(Exhausted):
        loop.run_until_complete(loop.create_future())


def test_an_error_that_nobody_handles_is_kept(loop) -> None:
    async def broken() -> None:
        raise KeyError("x")

    task = loop.spawn(loop.outside, broken())
    loop.run_until(task.done)
    assert [type(one) for one in loop.unheard()] == [KeyError]
    loop.call_soon(lambda: 1 / 0)
    loop.run_until(lambda: bool(loop.problems))
    assert isinstance(loop.problems[0]["exception"], ZeroDivisionError)
