"""A SQLite file as it is at one moment, owned by somebody or by nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import merge
from pathlib import Path

from rco.errors import NotFound, StoreError
from rco.model.run import Mode, RunRow
from rco.store import migrate, rows
from rco.store.contract.diagnosis import Idle, Stuck
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.reader import Segment
from rco.store.contract.snapshot import History, LeaseRange, NodeRow
from rco.store.contract.versions import OpenRuns
from rco.store.contract.writer import Seal
from rco.store.sqlite import examine, payloads, read_evidence, read_runs, versions
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

    def payload_space(self) -> str:
        return str(self.connection.execute(payloads.SPACE).fetchone()[0])

    def chains(self) -> list[str]:
        return [""]

    def head(self, chain: str = "") -> Seal | None:  # noqa: ARG002 - one writer, one chain
        return read_evidence.head(self.connection)

    def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:  # noqa: ARG002 - likewise
        return read_evidence.seals(self.connection, first_n, limit)

    def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:  # noqa: ARG002 - likewise
        return read_evidence.segments(self.connection, first_n, last_n)

    def trimmed(self) -> dict[str, int]:
        return dict(self.connection.execute("SELECT chain, last_n FROM trimmed").fetchall())

    def leases(self) -> list[LeaseRange]:
        return rows.lease_ranges(self.connection.execute("SELECT shard, owner, epoch FROM lease ORDER BY shard"))

    def nodes(self) -> list[NodeRow]:
        found = self.connection.execute("SELECT name, pid, epoch, started_us, seen_us FROM node ORDER BY started_us")
        return [NodeRow(*row) for row in found]

    def namespace_keys(self) -> list[NamespaceKey]:
        found = self.connection.execute(f"SELECT {rows.NAMESPACE_KEY_COLUMNS} FROM namespace_key ORDER BY seq")
        return [rows.namespace_key(row) for row in found]

    def histories(self) -> Iterator[History]:
        for row in merge(self._pages(rows.OPEN_RUNS), self._pages(rows.CLOSED_RUNS), key=lambda row: row.run_id):
            yield History(
                row,
                read_runs.journal(self.connection, row.run_id),
                read_runs.messages(self.connection, row.run_id),
                self._due(row.run_id),
            )

    def _pages(self, select: str) -> Iterator[RunRow]:
        after = b""
        while True:
            found = self.connection.execute(
                f"{select} WHERE run_id > ? ORDER BY run_id LIMIT ?", (after, PAGE)
            ).fetchall()
            if not found:
                return
            after = found[-1][0]
            yield from map(rows.run, found)

    def _due(self, run_id: bytes) -> int | None:
        found = self.connection.execute("SELECT due_us FROM timer WHERE run_id = ?", (run_id,)).fetchone()
        return None if found is None else int(found[0])

    # -- what is not well ------------------------------------------------------------------------------------------

    def stuck_runs(self, before_us: int) -> list[Stuck]:
        return examine.stuck_runs(self.connection, before_us)

    def unsettled(self) -> tuple[int, int]:
        return examine.unsettled(self.connection)

    def idle_runs(self, mode: Mode, limit: int) -> list[Idle]:
        return examine.idle_runs(self.connection, mode, limit)

    def overdue(self, before_us: int) -> tuple[int, int]:
        return examine.overdue(self.connection, before_us)

    def homeless(self) -> list[OpenRuns]:
        return versions.homeless(self.connection)

    def waiting_letters(self) -> int:
        return examine.waiting_letters(self.connection)

    def staged(self, before_us: int) -> tuple[int, int]:
        return examine.staged(self.connection, before_us)


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
