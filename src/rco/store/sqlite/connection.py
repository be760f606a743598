"""Opening SQLite with the promises that the keeper relies on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from rco.errors import StoreError
from rco.store.options import IN_MEMORY
from rco.store.sqlite.options import SqliteOptions

__all__ = ["in_memory", "open_reader", "open_writer"]

_STATEMENTS = 512


def in_memory(path: Path) -> bool:
    """Whether ``path`` is no file: ``:memory:`` and whatever stands behind it, which tells one such database from
    another."""
    return path.name.startswith(IN_MEMORY)


def open_writer(path: Path, options: SqliteOptions) -> sqlite3.Connection:
    """The one writing connection: write-ahead log, and every commit on the disk before it returns.

    Raises ``StoreError`` when the file cannot be opened or cannot have a write-ahead log (some network file systems).
    """
    try:
        connection = _open(path, "rwc", options)
        if in_memory(path):
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA secure_delete = ON")
            return connection
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(f"{path} cannot have a write-ahead log (it says {mode!r}).", cure="Use a local disk.")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {int(options.checkpoint_pages)}")
        connection.execute(f"PRAGMA cache_size = {-(options.cache_bytes >> 10)}")
        # Wiping deleted rows costs a second pass over each page; FAST wipes where the page is written anyway.
        connection.execute("PRAGMA secure_delete = FAST")
    except sqlite3.Error as error:
        raise StoreError(f"The database {path} cannot be opened: {error}.") from error
    return connection


def open_reader(path: Path, options: SqliteOptions) -> sqlite3.Connection:
    """A connection that can only read. Raises ``StoreError`` when the file cannot be opened."""
    try:
        connection = _open(path, "ro", options)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise StoreError(f"The database {path} cannot be opened for reading: {error}.") from error
    return connection


def _open(path: Path, mode: str, options: SqliteOptions) -> sqlite3.Connection:
    # Opened in one thread and used in another, never in two at once.
    where = f"file:{quote(str(path.absolute()))}?mode={mode}"
    if in_memory(path):
        # The leading slash is what makes connections of one process share it.
        where = f"file:/{quote(path.name)}?vfs=memdb"
    connection = sqlite3.connect(
        where,
        uri=True,
        isolation_level=None,
        timeout=options.busy_timeout_s,
        cached_statements=_STATEMENTS,
        check_same_thread=False,
    )
    if in_memory(path):
        connection.execute("PRAGMA temp_store = MEMORY")
    return connection
