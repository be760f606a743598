"""What is written once and read back before anybody decides what becomes of it: in a file without a name, which the
kernel takes away with the process, or in memory where nothing may be written to a disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO

from rco.errors import StoreError
from rco.objects.contract import CHUNK_BYTES
from rco.objects.files import told, write_all

__all__ = ["FileSpool", "MemorySpool"]


class FileSpool:
    """In a nameless file. Make one with ``begin``."""

    def __init__(self, file: IO[bytes], place: str) -> None:
        self._file, self._place = file, place
        self.size_bytes = 0

    @staticmethod
    async def begin(folder: Path, place: str) -> FileSpool:
        """Raises ``StoreError``."""
        with told(place):
            return FileSpool(await asyncio.to_thread(tempfile.TemporaryFile, dir=folder, buffering=0), place)

    async def write(self, chunk: bytes) -> None:
        with told(self._place):
            await asyncio.to_thread(write_all, self._file, chunk)
        self.size_bytes += len(chunk)

    async def read(self) -> AsyncIterator[bytes]:
        at = 0
        while at < self.size_bytes:
            with told(self._place):
                piece = await asyncio.to_thread(os.pread, self._file.fileno(), CHUNK_BYTES, at)
            if not piece:
                raise StoreError("what was written a moment ago is not there.", cure="Look at the disk.")
            at += len(piece)
            yield piece

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


class MemorySpool:
    """In memory, within what ``reserve`` gives."""

    def __init__(self, reserve: Callable[[int], None], release: Callable[[int], None]) -> None:
        self._reserve, self._release = reserve, release
        self._pieces: list[bytes] = []
        self.size_bytes = 0

    async def write(self, chunk: bytes) -> None:
        self._reserve(len(chunk))
        self._pieces.append(chunk)
        self.size_bytes += len(chunk)

    async def read(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            for at in range(0, len(piece), CHUNK_BYTES):
                yield piece[at : at + CHUNK_BYTES]

    async def close(self) -> None:
        self._release(self.size_bytes)
        self._pieces, self.size_bytes = [], 0
