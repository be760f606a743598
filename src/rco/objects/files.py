"""What keepers of objects share about files: errors told as the store's, and writes that are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO

from rco.errors import StoreError

__all__ = ["told", "write_all"]


@contextlib.contextmanager
def told(place: str) -> Iterator[None]:
    """An ``OSError`` inside comes out as a ``StoreError`` about the objects at ``place``."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"objects at {place} cannot be read or written: {error.strerror}.", cure="Look at the disk and its rights."
        ) from error


def write_all(file: IO[bytes], chunk: bytes) -> None:
    """Write all of ``chunk``: an unbuffered file may take less at a time."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
