"""What the kernel has in memory is read at once; for everything else the loop does not wait."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rco.kit.ids import Ids
from rco.objects import kernel_cache
from rco.objects.contract import CHUNK_BYTES
from rco.objects.folder import FolderObjects

_RELEASE = tuple(int(part) for part in platform.release().split(".")[:2])
pytestmark = pytest.mark.skipif(_RELEASE < (5, 12), reason="openat2 knows RESOLVE_CACHED since Linux 5.12")

_IN_MEMORY = (
    subprocess.run(("stat", "-f", "-c", "%T", tempfile.gettempdir()), capture_output=True, check=True).stdout
    == b"tmpfs\n"
)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept"
    path.write_bytes(b"kept")
    return path


def test_what_was_written_a_moment_ago_is_read_at_once(kept: Path) -> None:
    file = kernel_cache.opened(str(kept))
    assert file is not None
    assert file >= 0
    try:
        assert not os.get_inheritable(file)
        assert kernel_cache.piece(file, 4) == b"kept"
        assert kernel_cache.piece(file, 2) == b"ke"
        assert kernel_cache.piece(file, 0) == b""
        # Shorter than it was said to be: whoever may wait finds out why.
        assert kernel_cache.piece(file, 5) is None
    finally:
        os.close(file)


@pytest.mark.skipif(_IN_MEMORY, reason="a file system that lives in memory gives nothing away")
def test_bytes_that_are_not_in_memory_are_elsewhere(kept: Path) -> None:
    with kept.open("r+b") as file:
        os.fsync(file.fileno())
        # It is advice: a page that the kernel is about to sort into its lists stays until it has.
        for _ in range(1_000):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if kernel_cache.piece(file.fileno(), 4) is None:
                return
            os.sync()
        pytest.fail("bytes that nobody keeps in memory were read at once")


def test_what_was_looked_for_a_moment_ago_is_known_not_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    assert not path.exists()
    assert kernel_cache.opened(str(path)) == -1


@pytest.mark.parametrize("problem", [errno.EAGAIN, errno.EACCES, errno.ENOSYS, errno.EPERM])
def test_a_kernel_that_will_not_say_is_asked_no_more_where_it_never_will(
    kept: Path, problem: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def call(_: int, __: int, path: bytes, *___: object) -> int:
        asked.append(path)
        ctypes.set_errno(problem)
        return -1

    asking = kernel_cache._Asking()
    asking.call = call  # type: ignore[assignment]
    monkeypatch.setattr(kernel_cache, "_asking", asking)
    assert [kernel_cache.opened(str(kept)) for _ in range(2)] == [None, None]
    assert len(asked) == (1 if problem in (errno.ENOSYS, errno.EPERM) else 2)


async def test_small_objects_that_are_in_memory_take_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = FolderObjects(tmp_path / "objects", Ids())
    await objects.start()
    await objects.put("content/aa/small", b"small")
    await objects.put("content/aa/large", bytes(CHUNK_BYTES + 1))
    hops: list[str] = []

    async def hop(function: Callable[..., object], *given: object) -> object:
        hops.append(function.__name__)
        return function(*given)

    monkeypatch.setattr("rco.objects.folder.asyncio.to_thread", hop)
    found = await objects.open("content/aa/small")
    assert found is not None
    assert (found.first, found.rest, hops) == (b"small", None, [])
    large = await objects.open("content/aa/large")
    assert large is not None
    assert b"".join([piece async for piece in large.pieces()]) == bytes(CHUNK_BYTES + 1)
    assert hops == ["_piece"]
