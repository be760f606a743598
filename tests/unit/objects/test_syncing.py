"""Many files made durable together, with and without what only newer kernels and some file systems can do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rco.errors import StoreError
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.objects import syncing
from rco.objects.folder import FolderObjects

DATA = [(f"content/{at % 3:02x}/{at:04x}", b"%d" % at) for at in range(20)]


@pytest.fixture
async def objects(tmp_path: Path) -> FolderObjects:
    kept = FolderObjects(tmp_path / "objects", Ids(SystemClock()))
    await kept.start()
    return kept


async def _all_there(objects: FolderObjects) -> bool:
    found = [await objects.open(key) for key, _ in DATA]
    return [one and one.first for one in found] == [data for _, data in DATA]


async def test_where_a_file_cannot_be_made_without_a_name(
    objects: FolderObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = os.open

    def opened(path: object, flags: int, *more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return genuine(path, flags, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opened)
    await objects.put_all(DATA)
    monkeypatch.undo()
    assert await _all_there(objects)
    assert list((objects.folder / ".incoming").iterdir()) == []


async def test_where_each_has_to_be_synced_by_itself(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    genuine = os.fsync

    def fsync(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        genuine(file)

    monkeypatch.setattr(syncing, "_syncfs", None)
    monkeypatch.setattr(os, "fsync", fsync)
    await objects.put_all(DATA)
    assert await _all_there(objects)
    assert {str(objects.path_of(key)) for key, _ in DATA} <= set(synced)
    assert {str(objects.path_of(key).parent) for key, _ in DATA} <= set(synced)


async def test_they_are_synced_after_the_last_is_in_its_place(
    objects: FolderObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[tuple[str, bool]] = []

    def syncfs(folder: int) -> int:
        every = all(objects.path_of(key).exists() for key, _ in DATA)
        there.append((Path(f"/proc/self/fd/{folder}").readlink().name, every))
        return 0

    monkeypatch.setattr(syncing, "_syncfs", syncfs)
    await objects.put_all([*DATA, ("payload/aa", b"x")])
    # Whatever is mounted at either.
    assert sorted(there) == [("content", True), ("payload", True)]


async def test_a_disk_that_fails_is_told(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "_syncfs", lambda _: -1)
    with pytest.raises(StoreError, match="cannot be read or written"):
        await objects.put_all(DATA)


async def test_a_folder_that_somebody_took_away_is_made_again(objects: FolderObjects) -> None:
    await objects.put_all(DATA)
    for folder in (objects.folder / "content").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    (objects.folder / "content").rmdir()
    await objects.put_all(DATA)
    assert await _all_there(objects)
