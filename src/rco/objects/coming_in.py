"""Files that are coming in: made beside their place under a lock, written whole, and what crashes leave of them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["collected", "created", "sync_folder", "write"]


def created(path: Path) -> int:
    """A descriptor of the file, new and locked."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        file = os.open(path, flags, 0o600)
        if _locked(file) and path.exists():
            return file
        # A collector took it between the two.
        os.close(file)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def collected(left: Path) -> bool:
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


def write(file: int, chunk: bytes) -> None:
    written = os.write(file, chunk)
    while written < len(chunk):
        chunk = chunk[written:]
        written = os.write(file, chunk)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
