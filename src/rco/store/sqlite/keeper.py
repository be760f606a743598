"""The SQLite keeper: one file, one owner, one writer."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from rco.errors import StoreError
from rco.kit.clock import Clock
from rco.kit.ids import Ids
from rco.model.run import Mode
from rco.store import migrate
from rco.store.contract.news import Topic
from rco.store.contract.ownership import SoleOwner
from rco.store.contract.rewind import Rewind
from rco.store.contract.writer import Sealer
from rco.store.sqlite.commit import Committer
from rco.store.sqlite.connection import in_memory, open_writer
from rco.store.sqlite.options import SqliteOptions
from rco.store.sqlite.ownership import FileLock, take_over
from rco.store.sqlite.reader import SqliteReader
from rco.store.sqlite.retaining import SqliteRetaining
from rco.store.sqlite.writer import SqliteWriter

__all__ = ["SqliteKeeper"]

_UNREAD = "SELECT DISTINCT message.run_id FROM message JOIN run USING (run_id) WHERE run.mode IN (?, ?, ?)"


class SqliteKeeper:
    """Implements ``rco.store.contract.keeper.Keeper`` on a local file, or, at ``:memory:``, on none.

    ``node`` is the name of this process, as it stands in the node table and in the links of the audit chain. Beside
    ``path`` lie SQLite's ``-wal`` and ``-shm`` and the lock ``<path>.lock``. A keeper lives once: after ``stop`` make
    another.

    At ``:memory:`` nothing lies anywhere: the database is this process's own, begins empty at the newest schema and
    goes with ``stop``. It has no versions of a row beside each other, so there readers and the writer take turns.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Clock,
        ids: Ids,
        sealer: Sealer,
        node: str,
        options: SqliteOptions | None = None,
    ) -> None:
        self._path = Path(path)
        self._in_memory = in_memory(self._path)
        if self._in_memory:
            self._path = Path(f"{self._path.name}{ids.token(16)}")
        turns = threading.Lock() if self._in_memory else None
        self._clock, self._ids, self._sealer, self._node = clock, ids, sealer, node
        self._options = options or SqliteOptions()
        self._lock = FileLock(self._path)
        self._epoch = 0
        self._unread: list[bytes] = []
        self._ownership = SoleOwner()
        self._writer = SqliteWriter(clock=clock, options=self._options, turns=turns)
        self._reader = SqliteReader(self._path, self._writer, self._options, clock, turns)
        self._retaining = SqliteRetaining(self._reader, self._writer)

    @property
    def writer(self) -> SqliteWriter:
        return self._writer

    @property
    def reader(self) -> SqliteReader:
        return self._reader

    @property
    def retaining(self) -> SqliteRetaining:
        return self._retaining

    @property
    def ownership(self) -> SoleOwner:
        """One process owns the file, so it owns every shard."""
        return self._ownership

    def on_mail(self, listener: Callable[[bytes], None]) -> None:
        """Tells of parked runs that were written to before the start: whoever owned them may have died between the
        commit and the waking. There is no other node that could write to a run afterwards."""
        for run_id in self._unread:
            asyncio.get_running_loop().call_soon(listener, run_id)

    def on_news(self, topic: Topic, listener: Callable[[], None]) -> bool:
        """Never tells: what other programs write into the file, nobody says."""
        del topic, listener
        return False

    def on_rewound(self, listener: Callable[[Rewind], None]) -> None:
        """Never tells: a restore under a running service fences it."""

    @property
    def epoch(self) -> int:
        """The epoch taken at the start; 0 before it."""
        return self._epoch

    async def start(self) -> None:
        """Lock the file, check its schema, raise the epoch, start the writer's thread and the readers.

        Raises ``StoreLocked`` naming the process that holds the database, ``SchemaOutdated`` when migrations are
        missing or the schema is newer than the code, ``StoreError`` when the file cannot be used. After an error
        nothing is held.
        """
        if not self._in_memory:
            self._lock.acquire(os.getpid())
        try:
            connection, committer = await asyncio.to_thread(self._open)
        except BaseException:
            self._lock.release()
            raise
        self._writer.begin(committer, connection.close)
        self._reader.begin()

    async def stop(self) -> None:
        """Flush, end the threads, give the lock back. May be called before the start and twice."""
        # Readers first: the last connection to close folds the write-ahead log back and removes it.
        await self._reader.stop()
        await self._writer.stop()
        self._lock.release()

    def _open(self) -> tuple[sqlite3.Connection, Committer]:
        if not self._in_memory:
            migrate.private_file(self._path)
        connection = open_writer(self._path, self._options)
        try:
            if self._in_memory:
                migrate.bring_up(connection)
            migrate.check(connection)
            self._epoch = take_over(
                connection,
                node=self._node,
                boot_id=self._ids.uuid7(),
                pid=os.getpid(),
                now_us=self._clock.now_us(),
            )
            out_of_memory = (int(Mode.PARKED), int(Mode.PAUSED), int(Mode.QUEUED))
            self._unread = [row[0] for row in connection.execute(_UNREAD, out_of_memory)]
            committer = Committer(
                connection, sealer=self._sealer, clock=self._clock, writer=self._node, epoch=self._epoch
            )
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(f"The database {self._path} cannot be used: {error}.") from error
        except BaseException:
            connection.close()
            raise
        return connection, committer
