"""A SQLite file as it is at one moment, owned by somebody or by nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import merge
from pathlib import Path

from rco.errors import NotFound, StoreError
from rco.model.message import Message
from rco.model.run import RunRow
from rco.store import migrate, rows
from rco.store.contract.reader import Segment
from rco.store.contract.snapshot import LeaseRange, NodeRow
from rco.store.contract.writer import Seal
from rco.store.sqlite import read_evidence, read_runs
from rco.store.sqlite.connection import open_reader
from rco.store.sqlite.options import SqliteOptions

__all__ = ["SqliteSnapshot", "open_snapshot"]

PAGE = 500


class SqliteSnapshot:
    """Implements ``rco.store.contract.snapshot.Snapshot`` over one read transaction.

    As long as it lives, the write-ahead log cannot be folded back past it: it is for minutes, not for days.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def schema(self) -> str:
        return max(migrate.applied(self.connection), default="")

    def head(self) -> Seal | None:
        return read_evidence.head(self.connection)

    def seals(self, first_n: int, limit: int) -> list[Seal]:
        return read_evidence.seals(self.connection, first_n, limit)

    def segments(self, first_n: int, last_n: int) -> list[Segment]:
        return read_evidence.segments(self.connection, first_n, last_n)

    def leases(self) -> list[LeaseRange]:
        found: list[LeaseRange] = []
        for shard, owner, epoch in self.connection.execute("SELECT shard, owner, epoch FROM lease ORDER BY shard"):
            last = found[-1] if found else None
            if last is not None and (last.owner, last.epoch, last.last + 1) == (owner, epoch, shard):
                found[-1] = LeaseRange(last.first, shard, owner, epoch)
            else:
                found.append(LeaseRange(shard, shard, owner, epoch))
        return found

    def nodes(self) -> list[NodeRow]:
        found = self.connection.execute("SELECT name, pid, epoch, started_us, seen_us FROM node ORDER BY started_us")
        return [NodeRow(*row) for row in found]

    def runs(self) -> Iterator[RunRow]:
        return merge(self._pages("run"), self._pages("closed_run"), key=lambda row: row.run_id)

    def _pages(self, table: str) -> Iterator[RunRow]:
        select = {"run": rows.OPEN_RUNS, "closed_run": rows.CLOSED_RUNS}[table]
        after = b""
        while True:
            found = self.connection.execute(
                f"{select} WHERE run_id > ? ORDER BY run_id LIMIT ?", (after, PAGE)
            ).fetchall()
            if not found:
                return
            after = found[-1][0]
            yield from map(rows.run, found)

    def journal(self, run_id: bytes) -> list[Segment]:
        return read_runs.journal(self.connection, run_id)

    def messages(self, run_id: bytes) -> list[Message]:
        return read_runs.messages(self.connection, run_id)

    def due(self, run_id: bytes) -> int | None:
        found = self.connection.execute("SELECT due_us FROM timer WHERE run_id = ?", (run_id,)).fetchone()
        return None if found is None else int(found[0])


@contextmanager
def open_snapshot(path: Path, options: SqliteOptions | None = None) -> Iterator[SqliteSnapshot]:
    """The database at this moment. Whoever owns it goes on writing meanwhile; nothing of it is changed.

    Raises ``NotFound`` when there is no such file, ``SchemaOutdated`` when it needs migrations or has newer ones, and
    ``StoreError`` when it cannot be read.
    """
    if not path.is_file():
        raise NotFound(f"there is no database {path}.", cure="Name it with --store, or run where its data folder is.")
    try:
        connection = open_reader(path, options or SqliteOptions())
        try:
            connection.execute("BEGIN")
            migrate.check(connection)
            yield SqliteSnapshot(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"The database {path} could not be read: {error}.") from error
