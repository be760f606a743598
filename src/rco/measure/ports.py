"""Ports for services that are started, killed and started again."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

__all__ = ["free_port"]

_BELOW = 12_000
_SYSTEMS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")


class _Taken:
    """Ports that processes of this user have been given. Each is a locked byte of one file: the kernel forgets it with
    the process."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._ours: set[int] = set()

    def take(self, port: int) -> bool:
        """Whether nobody else has been given it. From now on it is this process's, also while nobody listens on it."""
        if port in self._ours:
            return False
        if self._file is None:
            # Never closed: that would let go of all of them.
            path = Path(tempfile.gettempdir()) / f"rco-ports-{os.getuid()}"
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self._ours.add(port)
        return True


_taken = _Taken()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, and that nobody else is given while this process lives.

    Not one that the system gives away by itself: while a service is down, a client that tries again and again to reach
    it could be given the very port as its own, and nobody could listen on it any more.
    """
    below = int(_SYSTEMS_OWN.read_text().split()[0])
    while True:
        port = random.randrange(max(1024, below - _BELOW), below)  # noqa: S311 - no secret
        if not _taken.take(port):
            continue
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
