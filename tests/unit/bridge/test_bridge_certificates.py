"""The door for certificates: one fetch at a time, failures remembered, so many in a second and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rco.bridge.certificates import FETCHES_BURST, KEPT_CAP, Certificates, Trusted
from rco.errors import Reason, Refused, Unreachable

URL = "https://keys.example/one.pem"
NOW_US = 1_790_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def now_us(self) -> int:
        return NOW_US

    def monotonic(self) -> float:
        return self.at


class Origin:
    """Where certificates come from. It answers when ``open`` is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status, self.body = 200, b"key"
        self.open = asyncio.Event()
        self.open.set()
        self.away = False

    async def __call__(self, url: str, limit_bytes: int) -> tuple[int, bytes]:
        self.asked.append(url)
        await self.open.wait()
        if self.away:
            raise Unreachable("away")
        return self.status, self.body


def accept(body: bytes) -> Trusted:
    if body != b"key":
        raise ValueError("not a key")
    return Trusted("the key", NOW_US - 1, NOW_US + 1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def origin() -> Origin:
    return Origin()


@pytest.fixture
def door(origin: Origin, clock: Clock) -> Certificates:
    return Certificates(origin, clock)


async def refusal(errand: Any) -> tuple[Reason, str, int]:
    with pytest.raises(Refused) as caught:
        await errand.run()
    return caught.value.reason, caught.value.detail, caught.value.status


async def test_fetched_once_and_kept(door: Certificates, origin: Origin, clock: Clock) -> None:
    assert door.known(URL, NOW_US) is None
    await door.errand(URL, accept, 401).run()
    kept = door.known(URL, NOW_US)
    assert kept is not None
    assert kept.key == "the key"
    clock.at = 24 * 3600.0
    assert door.known(URL, NOW_US) is kept
    clock.at += 1
    assert door.known(URL, NOW_US) is None
    assert origin.asked == [URL]


@pytest.mark.parametrize("late_us", [-2, 2])
async def test_outside_of_its_time_it_does_not_count(door: Certificates, late_us: int) -> None:
    await door.errand(URL, accept, 401).run()
    assert door.known(URL, NOW_US + late_us) is None


async def test_many_wait_for_one_fetch(door: Certificates, origin: Origin) -> None:
    origin.open.clear()
    waiting = [asyncio.ensure_future(door.errand(URL, accept, 401).run()) for _ in range(50)]
    for _ in range(3):
        await asyncio.sleep(0)
    waiting[0].cancel()
    origin.open.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None] * 49
    assert origin.asked == [URL]


@pytest.mark.parametrize(("status", "body"), [(404, b"key"), (302, b"key"), (200, b"junk"), (200, b"")])
async def test_a_refusal_is_remembered(
    door: Certificates, origin: Origin, clock: Clock, status: int, body: bytes
) -> None:
    origin.status, origin.body = status, body
    for _ in range(3):
        assert await refusal(door.errand(URL, accept, 403)) == (Reason.UNAUTH, "cert_refused", 403)
    assert origin.asked == [URL]
    assert door.known(URL, NOW_US) is None
    clock.at = 61.0
    origin.status, origin.body = 200, b"key"
    await door.errand(URL, accept, 403).run()
    assert door.known(URL, NOW_US) is not None


async def test_an_origin_that_is_away_is_asked_again(door: Certificates, origin: Origin) -> None:
    origin.away = True
    expected = (Reason.DOWNSTREAM_UNAVAILABLE, "cert_unreachable", 503)
    assert await refusal(door.errand(URL, accept, 401)) == expected
    origin.away, origin.status = False, 502
    assert await refusal(door.errand(URL, accept, 401)) == expected
    origin.status = 200
    await door.errand(URL, accept, 401).run()
    assert len(origin.asked) == 3


async def test_a_stranger_causes_only_so_many_fetches(door: Certificates, origin: Origin, clock: Clock) -> None:
    origin.status = 404
    outcomes = [await refusal(door.errand(f"{URL}?{n}", accept, 401)) for n in range(40)]
    assert len(origin.asked) == int(FETCHES_BURST)
    assert outcomes[-1] == (Reason.DOWNSTREAM_UNAVAILABLE, "cert_busy", 503)
    clock.at += 10.0
    assert (await refusal(door.errand(f"{URL}?again", accept, 401)))[1] == "cert_refused"


async def test_so_many_are_kept_and_no_more(door: Certificates, origin: Origin, clock: Clock) -> None:
    for n in range(KEPT_CAP + 3):
        clock.at += 1.0
        await door.errand(f"{URL}?{n}", accept, 401).run()
    assert [door.known(f"{URL}?{n}", NOW_US) is None for n in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("away", "status", "detail"), [(True, 200, "confirm_unreachable"), (False, 500, "confirm_refused")]
)
async def test_a_confirmation_that_fails_is_told(
    door: Certificates, origin: Origin, away: bool, status: int, detail: str
) -> None:
    origin.away, origin.status = away, status
    assert await refusal(door.confirm(URL)) == (Reason.DOWNSTREAM_UNAVAILABLE, detail, 503)
    origin.away, origin.status = False, 200
    await door.confirm(URL).run()
    assert origin.asked == [URL, URL]


async def test_without_a_door_nothing_is_fetched() -> None:
    assert (await refusal(Certificates().errand(URL, accept, 401)))[1] == "cert_unreachable"
