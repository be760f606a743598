"""Files that the kernel has in memory, read at once; what it would have to fetch is said to be elsewhere.

A small file in the page cache takes a few microseconds to read, and a thread to read it in takes fifty. But whether it
is there is not known before, and a loop that waits for a disk, or for a server that the folder is mounted from, serves
nobody. Linux can be asked for what it has and nothing more: ``openat2`` with ``RESOLVE_CACHED`` (5.12) for the way to
the file, ``preadv2`` with ``RWF_NOWAIT`` (4.14) for its bytes. Where it cannot be asked (an older kernel, a container
that forbids the call, a file system that does not know), everything is elsewhere, and threads do what they did before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

__all__ = ["opened", "piece"]

_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_CACHED = 0x20
_NEVER = frozenset((errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP))
_ABSENT = frozenset((errno.ENOENT, errno.ENOTDIR))
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _Asking:
    """Whether the kernel can be asked; once it said that it cannot, it is not asked again."""

    __slots__ = ("call", "how", "possible", "size")

    def __init__(self) -> None:
        self.possible = sys.platform == "linux" and _NOWAIT != 0
        if self.possible:
            # The interpreter's lock is kept: the call does not wait, and giving the lock away may.
            self.call = ctypes.PyDLL(None, use_errno=True).syscall
            self.call.restype = ctypes.c_long
            self.how = ctypes.byref(_How(os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, 0, _RESOLVE_CACHED))
            self.size = ctypes.c_size_t(ctypes.sizeof(_How))


_asking = _Asking()


def opened(path: str) -> int | None:
    """A descriptor of the file, -1 when there certainly is none, ``None`` when it has to be asked for elsewhere."""
    if not _asking.possible:
        return None
    file: int = _asking.call(_OPENAT2, _AT_FDCWD, os.fsencode(path), _asking.how, _asking.size)
    if file >= 0:
        return file
    problem = ctypes.get_errno()
    if problem in _NEVER:
        _asking.possible = False
    return -1 if problem in _ABSENT else None


def piece(file: int, size_bytes: int) -> bytes | None:
    """The first ``size_bytes`` of the file, ``None`` when not all of them are in memory."""
    if not _asking.possible:
        return None
    into = bytearray(size_bytes)
    try:
        read_bytes = os.preadv(file, (into,), 0, _NOWAIT)
    except OSError:
        # It would wait, or cannot be asked: who waits for it learns which.
        return None
    return bytes(into) if read_bytes == size_bytes else None
