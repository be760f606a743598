"""Small objects wait in the store and are moved together: nothing is lost between the two, nor found twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

import pytest

from rco.errors import StoreError
from rco.kit.clock import SystemClock
from rco.model.staged import StagedObject
from rco.objects import staging as module
from rco.objects.contract import read
from rco.objects.memory import MemoryObjects
from rco.objects.staging import OBJECT_BYTES_MAX, StagedObjects

KEY = "content/ab/abcdef"
LIMIT = 64 << 10


class Rows:
    """Stands for the store: what was committed is in ``kept``."""

    def __init__(self) -> None:
        self.kept: dict[str, StagedObject] = {}
        self.away = False

    async def staged(self, key: str) -> StagedObject | None:
        self._ask()
        return self.kept.get(key)

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]:
        self._ask()
        return sorted((one for one in self.kept.values() if one.put_us < before_us), key=lambda one: one.put_us)[:limit]

    async def unstage(self, moved: list[StagedObject]) -> None:
        self._ask()
        for one in moved:
            if self.kept.get(one.key) == one:
                del self.kept[one.key]

    def _ask(self) -> None:
        if self.away:
            raise StoreError("away.")


class Place(MemoryObjects):
    """Can be away, and can be stopped in the middle of a move."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), 64 << 20)
        self.away = False
        self.refused: set[str] = set()
        self.moving = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        self.moving.set()
        await self.go_on.wait()
        if self.away or any(key in self.refused for key, _ in objects):
            raise StoreError("away.")
        await super().put_all(objects)


class World:
    def __init__(self) -> None:
        self.rows, self.place = Rows(), Place()
        self.troubles: list[BaseException] = []
        self.staging = self.another()

    def another(self) -> StagedObjects:
        return StagedObjects(
            self.place, self.rows, SystemClock(), limit_bytes=LIMIT, trouble=self.troubles.append, every_s=0.0
        )

    def put(self, key: str, data: bytes) -> StagedObject:
        one = self.staging.stage(key, data)
        assert one is not None
        self.rows.kept[key] = one
        self.staging.keep(one)
        return one

    async def data(self, key: str, of: StagedObjects | None = None) -> bytes:
        return b"".join([piece async for piece in read(of or self.staging, key)])

    @contextlib.asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        await self.staging.start()
        try:
            yield
        finally:
            await self.staging.stop()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(module, "AWAY_S", 0.0)
    return World()


async def test_it_is_read_from_the_moment_it_is_kept_and_moved_afterwards(world: World) -> None:
    one = world.put(KEY, b"hello")
    assert await world.data(KEY) == b"hello"
    seen = await world.staging.seen(KEY)
    assert seen is not None
    assert (seen.size_bytes, seen.put_us) == (5, one.put_us)
    assert await world.place.seen(KEY) is None
    async with world.moving():
        await world.until(lambda: world.staging.waiting == 0)
    assert world.rows.kept == {}
    assert await world.data(KEY) == b"hello"
    assert await world.place.seen(KEY) is not None


async def test_while_the_place_is_away_it_stays_and_is_tried_again(world: World) -> None:
    world.place.away = True
    world.put(KEY, b"hello")
    async with world.moving():
        await world.until(lambda: len(world.troubles) > 2)
        assert world.rows.kept, "nothing is taken out before it is where it belongs"
        assert await world.data(KEY) == b"hello"
        world.place.away = False
        await world.until(lambda: world.staging.waiting == 0)
    assert world.rows.kept == {}
    assert await world.data(KEY) == b"hello"


async def test_while_the_store_is_away_it_is_moved_again_until_it_is_taken_out(world: World) -> None:
    world.put(KEY, b"hello")
    world.rows.away = True
    async with world.moving():
        await world.until(lambda: len(world.troubles) > 2)
        assert world.staging.waiting == 1
        world.rows.away = False
        await world.until(lambda: not world.rows.kept)


async def test_one_that_the_place_will_not_have_keeps_nobody_waiting(world: World) -> None:
    keys = [f"content/aa/{at:04}" for at in range(40)]
    world.place.refused = {keys[3], keys[20]}
    for key in keys:
        world.put(key, key.encode())
    async with world.moving():
        await world.until(lambda: world.staging.waiting == 2)
        assert set(world.rows.kept) == world.place.refused
        world.place.refused = set()
        await world.until(lambda: world.staging.waiting == 0)
    # The same of those that somebody else has left.
    world.place.refused = {keys[5]}
    for key in keys:
        world.rows.kept[key] = StagedObject(key, 1, b"left")
    world.staging = world.another()
    async with world.moving():
        await world.until(lambda: set(world.rows.kept) == {keys[5]})


async def test_what_was_moved_is_read_without_the_store(world: World) -> None:
    world.put(KEY, b"hello")
    async with world.moving():
        await world.until(lambda: world.staging.waiting == 0)
    world.rows.away = True
    assert await world.data(KEY) == b"hello"
    with pytest.raises(StoreError):
        await world.staging.open("content/ab/none")


async def test_what_is_put_again_while_it_is_moved_is_moved_again(world: World) -> None:
    world.place.go_on.clear()
    world.put(KEY, b"first")
    async with world.moving():
        await world.place.moving.wait()
        again = world.put(KEY, b"again")
        world.place.go_on.set()
        await world.until(lambda: world.staging.waiting == 0)
    assert again.key not in world.rows.kept
    world.staging = world.another()
    assert await world.data(KEY) == b"again"


async def test_put_by_itself_it_takes_the_place_of_what_was_staged(world: World) -> None:
    world.put(KEY, b"staged")
    await world.staging.put(KEY, b"by itself")
    async with world.moving():
        await asyncio.sleep(0)
    assert await world.data(KEY) == b"by itself"
    assert world.rows.kept == {}


async def test_only_so_much_waits_and_what_is_large_never_does(world: World) -> None:
    assert world.staging.stage(KEY, bytes(OBJECT_BYTES_MAX + 1)) is None
    every = [f"content/aa/{at}" for at in range(LIMIT // OBJECT_BYTES_MAX)]
    for key in every:
        world.put(key, bytes(OBJECT_BYTES_MAX))
    assert world.staging.stage(KEY, b"x") is None
    # The same again takes no more room once it is kept, and what was not committed gives its room back.
    async with world.moving():
        await world.until(lambda: world.staging.waiting == 0)
    one = world.staging.stage(KEY, bytes(OBJECT_BYTES_MAX))
    assert one is not None
    world.staging.drop(one)
    for key in every:
        world.put(key, bytes(OBJECT_BYTES_MAX))
    assert world.staging.stage(KEY, b"x") is None


async def test_room_is_counted_once_whoever_gives_up_waiting_when(world: World) -> None:
    """A sender goes away while its put is committed: it is dropped first and kept then, or the other way round."""
    size = OBJECT_BYTES_MAX
    for at in range(20):
        one = world.staging.stage(f"content/aa/{at}", bytes(size))
        assert one is not None
        world.rows.kept[one.key] = one
        for call in (world.staging.drop, world.staging.keep, world.staging.drop)[at % 2 :]:
            call(one)
        async with world.moving():
            await world.until(lambda: world.staging.waiting == 0)
    for at in range(LIMIT // size):
        world.put(f"content/bb/{at}", bytes(size))
    assert world.staging.stage(KEY, b"x") is None


async def test_what_another_has_left_is_read_and_moved(world: World) -> None:
    data = {f"content/aa/{at:04}": os.urandom(at % 50) for at in range(1200)}
    for key, body in data.items():
        world.rows.kept[key] = StagedObject(key, len(world.rows.kept), body)
    world.staging = world.another()
    assert await world.data("content/aa/0007") == data["content/aa/0007"]
    async with world.moving():
        await world.until(lambda: not world.rows.kept)
    assert {key: await world.data(key) for key in data} == data
    assert world.troubles == []


async def test_a_commit_of_which_nobody_knows_is_moved_when_it_has_stood_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ORPHAN_S", 0.01)
    async with world.moving():
        await world.until(lambda: world.place.moving.is_set() or not world.rows.kept)
        one = world.staging.stage(KEY, b"it stands")
        assert one is not None
        world.rows.kept[KEY] = one
        world.staging.drop(one)
        async with asyncio.timeout(10):
            while world.rows.kept:
                await asyncio.sleep(0.01)
    assert await world.data(KEY) == b"it stands"


async def test_deleted_it_is_gone_wherever_it_stood(world: World) -> None:
    world.put(KEY, b"hello")
    await world.place.put(KEY, b"hello from before")
    assert await world.staging.delete(KEY)
    assert not await world.staging.delete(KEY)
    assert await world.staging.open(KEY) is None
    assert world.rows.kept == {}
    world.rows.kept[KEY] = StagedObject(KEY, 1, b"another's")
    assert await world.staging.among([KEY, "content/aa/none"]) == {KEY}
    assert await world.staging.delete(KEY)
    assert await world.staging.among([KEY]) == set()


async def test_it_may_be_stopped_before_its_start_and_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_S", 0.01)
    await world.staging.stop()
    world.place.go_on.clear()
    world.put(KEY, b"hello")
    await world.staging.start()
    await world.place.moving.wait()
    await world.staging.stop()
    await world.staging.stop()
    assert world.rows.kept, "a move that takes too long is left to the next start"


async def test_a_stop_moves_what_waits(world: World) -> None:
    world.staging = StagedObjects(
        world.place, world.rows, SystemClock(), limit_bytes=LIMIT, trouble=world.troubles.append, every_s=60.0
    )
    async with world.moving():
        world.put(KEY, b"hello")
    assert world.rows.kept == {}
    assert await world.data(KEY, world.another()) == b"hello"
