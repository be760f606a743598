"""The file of a SQLite store: whether it opens, is whole, and who holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from rco.cli.checkup.report import Found, fail, ok, unknown, warn
from rco.store.sqlite import examine
from rco.store.sqlite.snapshot import SqliteSnapshot

__all__ = ["files", "integrity", "owner"]

WAL_LARGE_BYTES = 256 << 20


def files(path: Path) -> Iterator[Found]:
    """Sizes of the file and of its write-ahead log."""
    yield ok("database", f"{path}, {path.stat().st_size >> 10} KiB, opens, schema current")
    log = path.with_name(path.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > WAL_LARGE_BYTES:
        cure = "A reader holds it back: a backup, an export or a shell that stays open. End it."
        yield warn("write-ahead log", f"{size >> 20} MiB", cure)
    else:
        yield ok("write-ahead log", f"{size >> 10} KiB")


def integrity(connection: sqlite3.Connection) -> Iterator[Found]:
    """SQLite's own check."""
    found = examine.damage(connection)
    if found is None:
        yield ok("integrity", "quick check passed")
    else:
        yield fail("integrity", f"damaged: {found}", "Stop the service and restore a backup: rco restore FILE.")


def owner(path: Path, snapshot: SqliteSnapshot) -> Iterator[Found]:
    """Leases and nodes against the process that holds the file."""
    pid = examine.held(path)
    leases = snapshot.leases()
    owners = sorted({lease.owner for lease in leases if lease.owner is not None})
    epochs = sorted({lease.epoch for lease in leases})
    told = f"epoch {epochs[-1]}, owned by {', '.join(owners) or 'nobody'}"
    if len(epochs) > 1 or len(owners) > 1:
        yield fail("leases", f"{told}; {len(epochs)} epochs on one file", "Restart the service: it takes every shard.")
    elif pid is None:
        yield unknown("leases", f"{told}; whether a process holds the file cannot be told")
    elif pid == 0:
        yield warn("leases", f"{told}; no process holds the file", "Start the service if it should run.")
    else:
        yield ok("leases", f"{told}; held by process {pid}")
