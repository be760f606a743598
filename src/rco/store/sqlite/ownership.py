"""Who may write: a lock of the operating system, and an epoch that outlives it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from rco.errors import StoreError, StoreLocked

__all__ = ["FileLock", "take_over"]


class FileLock:
    """An exclusive lock on ``<path>.lock``, held for life; the system gives it back when the process dies.

    ``acquire`` raises ``StoreLocked`` naming the process that holds it. ``release`` may be called twice.
    """

    __slots__ = ("_file", "path")

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def acquire(self, pid: int) -> None:
        try:
            file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"The lock {self.path} cannot be made: {error.strerror}.",
                cure="Put the database where this user may write: store.path, or data_dir.",
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
            os.close(file)
            by = f"process {holder}" if holder else "another process"
            raise StoreLocked(
                f"The database {self.path.with_suffix('')} is in use by {by}.",
                cure="Stop that process, or give this one a database of its own.",
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{pid}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            # The file stays: removing it would let two processes lock two files of the same name.
            os.close(self._file)
            self._file = None


def take_over(connection: sqlite3.Connection, *, node: str, boot_id: bytes, pid: int, now_us: int) -> int:
    """Raise the epoch of every shard, put ``node`` in as its owner, and note that it lives. Returns the epoch.

    From then on whoever wrote under an older epoch is fenced: its next commit finds the epoch gone. Raises
    ``sqlite3.Error``.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (highest,) = connection.execute("SELECT max(epoch) FROM lease").fetchone()
        epoch = int(highest) + 1
        connection.execute("UPDATE lease SET owner = ?, epoch = ?, taken_us = ?", (node, epoch, now_us))
        connection.execute(
            "INSERT OR REPLACE INTO node (name, boot_id, pid, epoch, started_us, seen_us) VALUES (?, ?, ?, ?, ?, ?)",
            (node, boot_id, pid, epoch, now_us, now_us),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return epoch
