import asyncio

import pytest

from rco.egress.limits import Crowded, Limits

FOREVER = 1e12


def limits(clock, *, rate=None, burst=None, concurrency=2, line=10) -> Limits:
    return Limits(rate_per_s=rate, burst=burst, concurrency=concurrency, line_limit=line, clock=clock)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_concurrency_is_never_exceeded_and_everybody_comes_through(clock) -> None:
    those = limits(clock, concurrency=7, line=500)
    inside = most = done = 0

    async def one() -> None:
        nonlocal inside, most, done
        if not those.slip_in():
            assert await those.enter(FOREVER) is None
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        done += 1
        those.leave()

    await asyncio.gather(*(one() for _ in range(200)))
    assert (most, done, those.in_flight, those.waiting) == (7, 200, 0, 0)


async def test_the_line_is_bounded_and_served_in_order(clock) -> None:
    those = limits(clock, concurrency=1, line=2)
    assert those.slip_in()
    order: list[int] = []

    async def wait(number: int) -> None:
        assert await those.enter(FOREVER) is None
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in (1, 2)]
    await turns()
    assert those.waiting == 2
    assert await those.enter(FOREVER) == Crowded("queue_full", 1.0)
    for _ in range(3):
        those.leave()
        await turns()
    await asyncio.gather(*tasks)
    assert (order, those.in_flight) == ([1, 2], 0)


async def test_a_cancelled_wait_loses_no_permit(clock) -> None:
    those = limits(clock, concurrency=1)
    assert those.slip_in()
    first, second = (asyncio.create_task(those.enter(FOREVER)) for _ in range(2))
    await turns()
    # The permit is handed to the first in the same moment in which the first is cancelled.
    those.leave()
    first.cancel()
    assert await second is None
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (those.in_flight, those.waiting) == (1, 0)
    third = asyncio.create_task(those.enter(FOREVER))
    await turns()
    third.cancel()
    await turns()
    those.leave()
    assert (those.in_flight, those.waiting) == (0, 0)
    assert those.slip_in()


async def test_rate_lets_the_burst_through_and_refuses_who_would_wait_too_long(clock) -> None:
    those = limits(clock, rate=10.0, burst=3, concurrency=100)
    assert [those.slip_in() for _ in range(4)] == [True, True, True, False]
    refused = await those.enter(clock.monotonic() + 0.05)
    assert refused is not None
    assert refused.reason == "rate_limited"
    assert refused.retry_after_s == pytest.approx(0.1)
    assert (those.in_flight, those.waiting) == (3, 0)
    clock.pass_(0.1)
    assert those.slip_in()
    assert not those.slip_in()


async def test_who_waits_for_a_token_holds_nothing_and_those_behind_wait_longer(clock) -> None:
    those = limits(clock, rate=0.001, burst=1, concurrency=100)
    assert those.slip_in()
    waiting = asyncio.create_task(those.enter(FOREVER))
    await turns()
    assert (those.waiting, those.in_flight) == (1, 1)
    assert those.tokens == pytest.approx(-1.0)
    refused = await those.enter(clock.monotonic() + 1500)
    assert refused == Crowded("rate_limited", pytest.approx(2000.0))
    waiting.cancel()
    await turns()
    assert (those.waiting, those.in_flight) == (0, 1)
    assert those.tokens == pytest.approx(0.0)


async def test_tokens_never_pile_up_beyond_the_burst(clock) -> None:
    those = limits(clock, rate=10.0, burst=2, concurrency=100)
    clock.pass_(3600)
    assert [those.slip_in() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    "bad", [{"rate": 0.0}, {"rate": -1.0}, {"rate": float("inf")}, {"rate": 1.0, "burst": 0}, {"concurrency": 0}]
)
def test_numbers_without_sense_are_refused(clock, bad) -> None:
    with pytest.raises(ValueError, match="must be"):
        limits(clock, **bad)
