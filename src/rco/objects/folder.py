"""Objects in a folder of this machine: each one a file, there whole or not at all, and still there after a power cut.

What comes in is written beside, in ``.incoming``, and moved to its place when it is whole: the file is fsynced before
the move and its folder after it. Who writes there holds a lock on the file, which the kernel takes back when the
process dies: so what a crash left is told from what is still coming in, whichever process it is of.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from rco.errors import ConfigInvalid, NotFound, StoreError
from rco.kit.ids import Ids
from rco.objects.contract import CHUNK_BYTES, Seen, check_key

__all__ = ["FolderObjects"]

_INCOMING = ".incoming"


class FolderObjects:
    """Implements ``rco.objects.contract.Objects``. Several processes of one machine may share the folder."""

    def __init__(self, folder: Path, ids: Ids) -> None:
        self.place = f"file:{folder}"
        self._folder, self._ids = folder, ids

    async def start(self) -> None:
        """Makes the folder, for its owner alone, and collects what a crash left in it."""
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            raise ConfigInvalid(
                f"the folder of objects {self._folder} cannot be used: {error.strerror}", key="objects.place"
            ) from None

    async def stop(self) -> None:
        """Nothing is held open."""

    async def begin(self) -> _Intake:
        with _told(self.place):
            while True:
                path = self._folder / _INCOMING / self._ids.token(16)
                file = await asyncio.to_thread(_create, path)
                if file is not None:
                    return _Intake(self.place, self._folder, path, file)

    async def seen(self, key: str) -> Seen | None:
        path = self._folder / check_key(key)
        with _told(self.place):
            return await asyncio.to_thread(_seen, path, key)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        path = self._folder / check_key(key)
        with _told(self.place):
            try:
                file, piece = await asyncio.to_thread(_begun, path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise NotFound(f"no object {key}.") from None
            try:
                while piece:
                    yield piece
                    # Behind a shorter piece there is nothing.
                    piece = b"" if len(piece) < CHUNK_BYTES else await asyncio.to_thread(_piece, file)
            finally:
                # No waiting here: the reader may be thrown away in the middle.
                file.close()

    async def delete(self, key: str) -> bool:
        path = self._folder / check_key(key)
        with _told(self.place):
            return await asyncio.to_thread(_delete, path)

    async def collect(self) -> int:
        with _told(self.place):
            return await asyncio.to_thread(self._collect)

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        with _told(self.place):
            return await asyncio.to_thread(self._listed, prefix, after, limit)

    def _open(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming = self._folder / _INCOMING
        incoming.mkdir(mode=0o700, exist_ok=True)
        self._collect()

    def _collect(self) -> int:
        return sum(_collected(left) for left in (self._folder / _INCOMING).iterdir())

    def _listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        found: list[Seen] = []
        for key in _walk(self._folder, ""):
            if len(found) == limit or (key > prefix and not key.startswith(prefix)):
                break
            if key.startswith(prefix) and key > after:
                seen = _seen(self._folder / key, key)
                if seen is not None:
                    found.append(seen)
        return found


class _Intake:
    """Holds less than a piece back, so that what is small goes to the disk in one turn of a thread."""

    __slots__ = ("_file", "_folder", "_held", "_path", "_place")

    def __init__(self, place: str, folder: Path, path: Path, file: BinaryIO) -> None:
        self._place, self._folder, self._path, self._file = place, folder, path, file
        self._held = b""

    async def write(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) >= CHUNK_BYTES:
            held, self._held = self._held, b""
            with _told(self._place):
                await asyncio.to_thread(_write, self._file, held)

    async def commit(self, key: str) -> None:
        target = self._folder / check_key(key)
        with _told(self._place):
            await asyncio.to_thread(self._commit, target)

    async def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _commit(self, target: Path) -> None:
        _write(self._file, self._held)
        os.fsync(self._file.fileno())
        _make_folders(self._folder, target.parent)
        # Closed afterwards: with its lock gone it would be taken for what a crash left.
        self._path.replace(target)
        self._file.close()
        _sync_folder(target.parent)


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"objects at {place} cannot be read or written: {error.strerror}.", cure="Look at the disk and its rights."
        ) from error


def _create(path: Path) -> BinaryIO | None:
    """The file, new and locked; ``None`` when a collector took it between the two."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
    if _locked(file.fileno()) and path.exists():
        return file
    file.close()
    return None


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _collected(left: Path) -> bool:
    """Whether it was left by who is gone, and is removed."""
    try:
        handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not _locked(handle):
            return False
        left.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _begun(path: Path) -> tuple[BinaryIO, bytes]:
    """The file, open, and its first piece."""
    file = path.open("rb", buffering=0)
    try:
        return file, _piece(file)
    except BaseException:
        file.close()
        raise


def _piece(file: BinaryIO) -> bytes:
    pieces = [file.read(CHUNK_BYTES)]
    # An unbuffered file may give less than was asked for before its end.
    while pieces[-1] and (missing := CHUNK_BYTES - sum(map(len, pieces))):
        pieces.append(file.read(missing))
    return b"".join(pieces)


def _seen(path: Path, key: str) -> Seen | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Seen(key, found.st_size, found.st_mtime_ns // 1000) if path.is_file() else None


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    _sync_folder(path.parent)
    return True


def _make_folders(top: Path, folder: Path) -> None:
    """Each one that is made is durable in the one above before anything is put into it."""
    if folder == top or folder.is_dir():
        return
    _make_folders(top, folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _walk(folder: Path, head: str) -> Iterator[str]:
    """Keys in the order of their characters: a folder stands where its name with a slash would."""
    entries = sorted((f"{one.name}/" if one.is_dir() else one.name, one) for one in folder.iterdir())
    for name, one in entries:
        if name.startswith("."):
            continue
        if name.endswith("/"):
            yield from _walk(one, head + name)
        else:
            yield head + name
