"""Many small files at a time, made durable by one call instead of two for each.

``syncfs`` (Linux) writes everything that is waiting on a file system, whoever it is of: too long for somebody who waits
for one file, cheap for who moves hundreds. Before Linux 5.8 it did not tell of writes that failed, so it is used from
there on; elsewhere each file and each folder is synced by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["place", "sync_all"]

_TELLS = (5, 8)


def _found() -> Any:
    """``syncfs``, where it is there and tells of what went wrong."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release) if sys.platform == "linux" else None
    if release is None or (int(release[1]), int(release[2])) < _TELLS:
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


_syncfs = _found()


def place(data: bytes, target: Path, otherwise: Callable[[], None]) -> None:
    """Put ``data`` under ``target``, whole or not at all, and not durable yet. The file gets its name when it is
    written; where something has that name, or that cannot be done, ``otherwise`` is called. Raises ``OSError``."""
    nameless = getattr(os, "O_TMPFILE", 0)
    if nameless:
        with contextlib.suppress(OSError):
            file = os.open(target.parent, os.O_WRONLY | nameless | os.O_CLOEXEC, 0o600)
            try:
                if os.write(file, data) == len(data):
                    # With a folder to begin at the link is followed: to the file, not to its name under /proc.
                    os.link(f"/proc/self/fd/{file}", target, src_dir_fd=file, follow_symlinks=True)
                    return
            finally:
                os.close(file)
    otherwise()


def sync_all(folder: Path, every: Callable[[], None]) -> None:
    """Make all durable that was written to the file system of ``folder`` before this; with ``every`` where that cannot
    be asked for at once. Raises ``OSError``."""
    if _syncfs is None:
        every()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _syncfs(handle) != 0:
            problem = ctypes.get_errno()
            raise OSError(problem, os.strerror(problem))
    finally:
        os.close(handle)
