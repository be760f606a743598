"""Objects in a folder of this machine: each one a file, there whole or not at all, and still there after a power cut.

What comes in is written beside, in ``.incoming``, and moved to its place when it is whole: the file is fsynced before
the move and its folder after it. Who writes there holds a lock on the file, which the kernel takes back when the
process dies: so what a crash left is told from what is still coming in, whichever process it is of. What was read or
put lately is read where it is asked for, without a thread (``kernel_cache``); everything else waits in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from rco.errors import ConfigInvalid
from rco.kit.gather import Gather
from rco.kit.ids import Ids
from rco.objects import kernel_cache
from rco.objects.coming_in import collected, created, sync_folder, write
from rco.objects.contract import CHUNK_BYTES, Found, Seen, Spool, check_key
from rco.objects.dropping import drop, move
from rco.objects.files import told
from rco.objects.listing import walk
from rco.objects.putting import Put, put_group, put_synced
from rco.objects.spool import FileSpool

__all__ = ["FolderObjects"]

_INCOMING = ".incoming"
_TOGETHER, _GROUPS = 16, 6
"""Puts in one group, and groups under way: a file system's commit carries what several threads wait for."""


class FolderObjects:
    """Implements ``rco.objects.contract.Dropping``. Several processes of one machine may share the folder."""

    def __init__(self, folder: Path, ids: Ids) -> None:
        self.place = f"file:{folder}"
        self.folder, self._ids = folder, ids
        self._top = str(folder)
        self._puts: Gather[Put, OSError] = Gather(self._put_together, most=_TOGETHER, under_way=_GROUPS)
        self._made: set[Path] = set()
        """Folders that are known to be there after a power cut."""

    async def start(self) -> None:
        """Makes the folder, for its owner alone, and collects what a crash left in it."""
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            raise ConfigInvalid(
                f"the folder of objects {self.folder} cannot be used: {error.strerror}", key="objects.place"
            ) from None

    async def stop(self) -> None:
        """Nothing is held open."""

    async def begin(self) -> _Intake:
        path = self._beside()
        with told(self.place):
            return _Intake(self, path, await asyncio.to_thread(created, path))

    async def put(self, key: str, data: bytes) -> None:
        with told(self.place):
            if (problem := await self._puts(Put(self.path_of(key), self._beside(), data))) is not None:
                try:
                    raise problem
                finally:
                    # It knows this frame, and so the data.
                    del problem

    async def put_all(self, objects: list[tuple[str, bytes]]) -> None:
        with told(self.place):
            await asyncio.to_thread(self._put_all, objects, self._beside())

    def _put_all(self, objects: list[tuple[str, bytes]], beside: Path) -> None:
        # One name for all, drawn once: few of them are ever beside their places.
        puts = [Put(self.path_of(key), Path(f"{beside}-{at}"), data) for at, (key, data) in enumerate(objects)]
        put_synced(self, puts)

    async def spool(self) -> Spool:
        return await FileSpool.begin(self.folder / _INCOMING, self.place)

    async def seen(self, key: str) -> Seen | None:
        path = self.path_of(key)
        with told(self.place):
            return await asyncio.to_thread(_seen, path, key)

    async def open(self, key: str) -> Found | None:
        path = f"{self._top}/{check_key(key)}"
        with told(self.place):
            file = kernel_cache.opened(path)
            if file is None:
                file = await asyncio.to_thread(_opened, path)
            if file < 0:
                return None
            try:
                size_bytes, put_us, is_file = kernel_cache.state(file)
                if not is_file:
                    kernel_cache.close(file)
                    return None
                first = kernel_cache.piece(file, min(size_bytes, CHUNK_BYTES))
                if first is None:
                    first = await asyncio.to_thread(_piece, file, 0)
            except BaseException:
                os.close(file)
                raise
            seen = Seen(key, size_bytes, put_us)
            if len(first) == CHUNK_BYTES:
                return Found(seen, first, _Rest(self.place, file))
            kernel_cache.close(file)
            return Found(seen, first)

    async def delete(self, key: str) -> bool:
        path = self.path_of(key)
        with told(self.place):
            return await asyncio.to_thread(_delete, path)

    async def drop(self, seen: Seen) -> bool:
        path = self.path_of(seen.key)
        with told(self.place):
            return await asyncio.to_thread(drop, path, seen)

    async def collect(self) -> int:
        with told(self.place):
            return await asyncio.to_thread(self._collect)

    async def listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        with told(self.place):
            return await asyncio.to_thread(self._listed, prefix, after, limit)

    def _beside(self) -> Path:
        return self.folder / _INCOMING / self._ids.token(16)

    async def _put_together(self, puts: list[Put]) -> dict[Put, OSError]:
        return await asyncio.to_thread(put_group, self, puts)

    def path_of(self, key: str) -> Path:
        return self.folder / check_key(key)

    def move(self, path: Path, target: Path) -> None:
        """Put what is whole in its place. Its folder is durable in the one above before, whoever made it."""
        self.make(target.parent)
        try:
            move(path, target)
        except FileNotFoundError:
            # Somebody took the folder away.
            self._made.clear()
            self.make(target.parent)
            move(path, target)

    def make(self, folder: Path) -> None:
        """Make it, durable in the one above."""
        if folder == self.folder or folder in self._made:
            return
        self.make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
        self._made.add(folder)

    def _open(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming = self.folder / _INCOMING
        incoming.mkdir(mode=0o700, exist_ok=True)
        self._collect()

    def _collect(self) -> int:
        return sum(collected(left) for left in (self.folder / _INCOMING).iterdir())

    def _listed(self, prefix: str, after: str, limit: int) -> list[Seen]:
        found: list[Seen] = []
        for key in walk(self.folder, prefix, after):
            seen = _seen(self.folder / key, key)
            if seen is not None:
                found.append(seen)
            if len(found) == limit:
                break
        return found


class _Rest:
    """What stands behind the first piece of an open file, which is closed at its end, by ``aclose``, or with this."""

    __slots__ = ("_at", "_file", "_place")

    def __init__(self, place: str, file: int) -> None:
        self._place, self._file, self._at = place, file, CHUNK_BYTES

    def __aiter__(self) -> _Rest:
        return self

    async def __anext__(self) -> bytes:
        if self._file < 0:
            raise StopAsyncIteration
        with told(self._place):
            piece = await asyncio.to_thread(_piece, self._file, self._at)
        self._at += len(piece)
        if len(piece) < CHUNK_BYTES:
            self._close()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        self._close()


class _Intake:
    """Holds less than a piece back, so that what is small goes to the disk in one turn of a thread."""

    __slots__ = ("_file", "_held", "_keeper", "_path")

    def __init__(self, keeper: FolderObjects, path: Path, file: int) -> None:
        self._keeper, self._path, self._file = keeper, path, file
        self._held = b""

    async def write(self, chunk: bytes) -> None:
        self._held += chunk
        if len(self._held) >= CHUNK_BYTES:
            held, self._held = self._held, b""
            with told(self._keeper.place):
                await asyncio.to_thread(write, self._file, held)

    async def commit(self, key: str) -> None:
        target = self._keeper.path_of(key)
        with told(self._keeper.place):
            await asyncio.to_thread(self._commit, target)

    async def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
            self._path.unlink(missing_ok=True)

    def _commit(self, target: Path) -> None:
        write(self._file, self._held)
        os.fsync(self._file)
        self._keeper.move(self._path, target)
        # Closed afterwards: with its lock gone it would be taken for what a crash left.
        self._close()
        sync_folder(target.parent)

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        self._close()


def _opened(path: str) -> int:
    """A descriptor of the file; -1 when there is none."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return -1


def _piece(file: int, at: int) -> bytes:
    """The piece that begins there, shorter only at the end of the file."""
    piece = os.pread(file, CHUNK_BYTES, at)
    while piece and len(piece) < CHUNK_BYTES and (more := os.pread(file, CHUNK_BYTES - len(piece), at + len(piece))):
        piece += more
    return piece


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
    sync_folder(path.parent)
    return True
