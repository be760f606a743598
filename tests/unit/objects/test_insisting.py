"""Reads that are tried again, and what is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from rco.errors import NotFound, StoreError
from rco.objects import insisting
from rco.objects.contract import Found, Seen, read
from rco.objects.insisting import RETRIES, Insisting


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic(self) -> float:
        return self.at_s

    def now_us(self) -> int:
        return 0


class Failing:
    """Gives no answer ``times`` times, each after ``took_s``; then one in two pieces."""

    place = "nowhere"

    def __init__(self, times: int, clock: Clock, took_s: float = 0.0, error: Exception | None = None) -> None:
        self.times, self.asked, self.clock, self.took_s = times, 0, clock, took_s
        self.error = error or StoreError("away")
        self.cut = False

    def _ask(self) -> None:
        self.asked += 1
        self.clock.at_s += self.took_s
        if self.asked <= self.times:
            raise self.error

    async def seen(self, key: str) -> Any:
        self._ask()
        return key

    async def open(self, key: str) -> Found:
        self._ask()
        return Found(Seen(key, 6, 0), b"one", self._rest())

    async def _rest(self) -> AsyncGenerator[bytes]:
        if self.cut:
            raise StoreError("cut")
        yield b"two"

    async def put(self, key: str, data: bytes) -> None:
        self._ask()

    async def begin(self) -> Any:
        self._ask()


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(insisting.asyncio, "sleep", sleep)
    return waits


async def test_a_read_that_fails_is_tried_again_a_little_later_each_time(slept: list[float]) -> None:
    clock = Clock()
    inner = Failing(RETRIES, clock)
    assert await Insisting(inner, clock, lambda: 1.0).seen("a/b") == "a/b"  # type: ignore[arg-type]
    assert (inner.asked, slept) == (RETRIES + 1, [0.05, 0.1, 0.2])
    inner = Failing(RETRIES + 1, clock)
    with pytest.raises(StoreError):
        await Insisting(inner, clock, lambda: 0.0).seen("a/b")  # type: ignore[arg-type]
    assert (inner.asked, slept[3:]) == (RETRIES + 1, [0.1, 0.2, 0.4])


async def test_a_stream_is_begun_again_before_its_first_piece_and_never_after_it() -> None:
    clock = Clock()
    inner = Failing(2, clock)
    objects = Insisting(inner, clock, lambda: 0.0)  # type: ignore[arg-type]
    assert [piece async for piece in read(objects, "a/b")] == [b"one", b"two"]
    assert inner.asked == 3
    inner = Failing(0, clock)
    inner.cut = True
    pieces = read(Insisting(inner, clock, lambda: 0.0), "a/b")  # type: ignore[arg-type]
    assert await anext(pieces) == b"one"
    with pytest.raises(StoreError, match="cut"):
        await anext(pieces)
    assert inner.asked == 1


async def test_what_failed_slowly_what_is_not_there_and_what_writes_is_not_tried_again() -> None:
    clock = Clock()
    asks: dict[str, Callable[[Insisting], Awaitable[Any]]] = {
        "seen": lambda objects: objects.seen("a/b"),
        "begin": lambda objects: objects.begin(),
        "put": lambda objects: objects.put("a/b", b"one"),
    }
    for inner, ask in (
        (Failing(1, clock, took_s=insisting.QUICK_S * 2), "seen"),
        (Failing(1, clock, error=NotFound("no")), "seen"),
        (Failing(1, clock), "begin"),
        (Failing(1, clock), "put"),
    ):
        objects = Insisting(inner, clock, lambda: 0.0)  # type: ignore[arg-type]
        with pytest.raises((StoreError, NotFound)):
            await asks[ask](objects)
        assert inner.asked == 1
