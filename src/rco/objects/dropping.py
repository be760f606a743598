"""Deleting an object unless somebody has put it since.

Content is put under the address of its bytes, so the same is put again and again under one key, and whoever has been
told that it is kept counts on it. Who moves an object into its folder holds that folder's lock together with others
who do, and who drops one holds it alone: between the look and the deletion nobody puts. The lock is the kernel's
(``flock``), so it binds all processes of a machine and dies with them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from rco.objects.contract import Seen

__all__ = ["drop", "move"]


def move(path: Path, target: Path) -> None:
    """Put the file in its place; nobody drops anything of that folder meanwhile. Raises ``OSError``."""
    with _held(target.parent, fcntl.LOCK_SH):
        path.replace(target)


def drop(path: Path, seen: Seen) -> bool:
    """Delete the file if it is still the one that was ``seen``; durable when this returns. Whether it went."""
    try:
        with _held(path.parent, fcntl.LOCK_EX) as folder:
            now = path.stat()
            if (now.st_mtime_ns // 1000, now.st_size) != (seen.put_us, seen.size_bytes):
                return False
            path.unlink()
            os.fsync(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextlib.contextmanager
def _held(folder: Path, how: int) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, how)
        yield handle
    finally:
        os.close(handle)
