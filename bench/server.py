"""The PostgreSQL that figures are taken on: the machine's own, as it comes, fsync and all, with its files on the disk
that is measured."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.postgres import PostgresServer

__all__ = ["postgres"]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Its address, as long as it runs: also SIGTERM to this process ends it. Raises ``AssertionError`` or
    ``CalledProcessError`` when there is none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = PostgresServer(parent=folder if _open_to_all(folder) else None)
    try:
        yield server.dsn("postgres")
    finally:
        server.stop()


def _open_to_all(folder: Path) -> bool:
    """Whether another user may come to ``folder``: started by root, the server runs as one."""
    if os.geteuid() != 0:
        return True
    return all(one.stat().st_mode & 0o001 for one in (folder, *folder.parents))
