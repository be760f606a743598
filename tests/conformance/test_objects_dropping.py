"""What nobody has put for long is dropped, and what somebody has put since is not, on every keeper that can drop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.objects import dropping
from rco.objects.contract import Dropping
from rco.objects.folder import FolderObjects
from rco.objects.memory import MemoryObjects
from rco.testing.clocks import ManualClock

KEY = "content/ab/abcdef"
DAY_S = 86_400


class Kept:
    """A keeper, and a way to let time pass for what is in it."""

    def __init__(self, objects: Dropping, pass_time: Callable[[], None]) -> None:
        self.objects, self.pass_time = objects, pass_time


@pytest.fixture(params=["memory", "folder"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    objects: Dropping
    if request.param == "memory":
        clock = ManualClock()
        objects = MemoryObjects(clock, 1 << 20)
        made = Kept(objects, lambda: clock.move(DAY_S))
    else:
        objects = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
        made = Kept(objects, lambda: age(tmp_path / "objects"))
    await objects.start()
    yield made
    await objects.stop()


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            seen = path.stat()
            os.utime(path, (seen.st_atime - DAY_S, seen.st_mtime - DAY_S))


async def test_what_nobody_has_put_since_goes_for_good(kept: Kept) -> None:
    await kept.objects.put(KEY, b"bytes")
    kept.pass_time()
    seen = await kept.objects.seen(KEY)
    assert seen is not None
    assert await kept.objects.drop(seen)
    assert await kept.objects.seen(KEY) is None
    assert not await kept.objects.drop(seen), "it is gone already"
    assert await kept.objects.listed("content/", "", 10) == []


async def test_what_was_put_again_stays(kept: Kept) -> None:
    await kept.objects.put(KEY, b"bytes")
    kept.pass_time()
    seen = await kept.objects.seen(KEY)
    assert seen is not None
    intake = await kept.objects.begin()
    await intake.write(b"bytes")
    await intake.commit(KEY)
    assert not await kept.objects.drop(seen)
    again = await kept.objects.open(KEY)
    assert again is not None
    assert again.first == b"bytes"


async def test_puts_and_drops_at_the_same_time_never_lose_what_was_acknowledged(kept: Kept) -> None:
    for _ in range(50):
        await kept.objects.put(KEY, b"old")
        kept.pass_time()
        seen = await kept.objects.seen(KEY)
        assert seen is not None
        dropped, _ = await asyncio.gather(kept.objects.drop(seen), kept.objects.put(KEY, b"new"))
        assert dropped in (True, False)
        found = await kept.objects.open(KEY)
        assert found is not None, "the put was acknowledged"
        assert found.first == b"new"


def taken(folder: Path, how: int) -> bool:
    """Whether the folder's lock could be had now."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


async def test_nobody_moves_an_object_in_between_the_look_and_the_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
    await objects.start()
    await objects.put(KEY, b"bytes")
    place = (tmp_path / "objects" / KEY).parent
    free: list[tuple[str, bool]] = []
    unlink, replace = Path.unlink, Path.replace

    def unlinking(path: Path, *more: Any, **named: Any) -> None:
        free.append(("drop", taken(place, fcntl.LOCK_SH)))
        unlink(path, *more, **named)

    def moving(path: Path, target: Path) -> Path:
        free.append(("put", taken(place, fcntl.LOCK_EX)))
        # Two may put at the same time.
        free.append(("two", not taken(place, fcntl.LOCK_SH)))
        return replace(path, target)

    monkeypatch.setattr(Path, "unlink", unlinking)
    monkeypatch.setattr(Path, "replace", moving)
    await objects.put(KEY, b"bytes")
    intake = await objects.begin()
    await intake.write(b"bytes")
    await intake.commit(KEY)
    seen = await objects.seen(KEY)
    assert seen is not None
    assert await objects.drop(seen)
    assert free == [("put", False), ("two", False)] * 2 + [("drop", False)]
    assert taken(place, fcntl.LOCK_EX), "nobody holds it any more"


async def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
    await objects.start()
    await objects.put(KEY, b"bytes")
    seen = await objects.seen(KEY)
    assert seen is not None
    shutil.rmtree(tmp_path / "objects" / "content")
    assert not await objects.drop(seen)
    await objects.put(KEY, b"bytes")
    assert await objects.seen(KEY) is not None
    (tmp_path / "objects" / KEY).unlink()
    assert not dropping.drop(tmp_path / "objects" / KEY, seen)
