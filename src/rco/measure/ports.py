"""Ports for services that are started, killed and started again."""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = ["free_port"]

_BELOW = 12_000
_SYSTEMS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")


_taken: list[socket.socket] = []
"""A name for each port that this process was given, held for as long as it lives."""


def _take(port: int) -> bool:
    """Whether no process of this machine has been given it. From now on it is this one's, also while nobody listens on
    it. The name is in Linux's abstract space (``man 7 unix``): it is no file, and goes with the process."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0rco-port-{port}")
    except OSError:
        name.close()
        return False
    _taken.append(name)
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, and that nobody else is given while this process lives.

    Not one that the system gives away by itself: while a service is down, a client that tries again and again to reach
    it could be given the very port as its own, and nobody could listen on it any more.
    """
    below = int(_SYSTEMS_OWN.read_text().split()[0])
    while True:
        port = random.randrange(max(1024, below - _BELOW), below)  # noqa: S311 - no secret
        if not _take(port):
            continue
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
