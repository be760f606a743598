"""The writer of SQLite: one thread commits what the loop collects, and neither waits for a clock."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from rco.errors import Fenced, StoreError
from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.store.collector import Batch, Collector, Committed, Listeners
from rco.store.contract.changes import Changes
from rco.store.contract.writer import Flushed
from rco.store.sqlite.commit import Committer
from rco.store.sqlite.options import SqliteOptions

__all__ = ["SqliteWriter"]

# BUSY, LOCKED, IOERR, FULL (https://www.sqlite.org/rescode.html): the same batch may succeed later.
_TRANSIENT = frozenset({5, 6, 10, 13})


class SqliteWriter:
    """Implements ``rco.store.contract.writer.Writer`` with one thread and one connection.

    ``start`` is given the committer by the keeper, which has opened the database and taken ownership. What the thread
    holds is closed by ``close`` at its end. ``turns`` is held during each transaction. All methods are called on the
    loop that called ``start``.
    """

    def __init__(self, *, clock: Clock, options: SqliteOptions, turns: threading.Lock | None = None) -> None:
        self._clock, self._options = clock, options
        self._turns = turns
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._listeners = Listeners()
        self._collector = Collector(self._queue.put, self._listeners, options.notes_limit)
        self._on_failure: list[Callable[[BaseException], None]] = []
        self._hurry = threading.Event()
        self._committer: Committer | None = None
        self._watched: frozenset[str] = frozenset()
        self._stopping: asyncio.Future[None] | None = None

    # -- adding ----------------------------------------------------------------------------------------------------

    def changes(self, shard: int) -> Changes:  # noqa: ARG002 - one writer serves all shards here
        """See ``Writer.changes``. Raises what ended the writer when nothing more can be written."""
        return self._collector.changes()

    def watch(self, namespaces: frozenset[str]) -> None:
        """See ``Writer.watch``. Holds for the next transaction."""
        self._watched = namespaces
        if self._committer is not None:
            self._committer.watched = namespaces

    def note(self, decision: Decision) -> None:
        """See ``Writer.note``. Silent when the writer has ended: nobody waits for it."""
        self._collector.note(decision)

    def chore(self, sql: str, values: tuple[Any, ...]) -> asyncio.Future[None]:
        """See ``Collector.chore``; what breaks a constraint fails with ``sqlite3.IntegrityError``."""
        return self._collector.chore(sql, values)

    def work(self, work: Callable[[Any, list[Decision]], None]) -> asyncio.Future[None]:
        """See ``Collector.work``."""
        return self._collector.work(work)

    @property
    def backlog(self) -> int:
        return self._collector.backlog

    @property
    def notes_dropped(self) -> int:
        return self._collector.notes_dropped

    def on_flush(self, listener: Callable[[Flushed], None]) -> None:
        self._listeners.flush.append(listener)

    def conceal_with(self, conceal: Callable[[Changes], None]) -> None:
        self._collector.conceal = conceal

    def on_failure(self, listener: Callable[[BaseException], None]) -> None:
        self._on_failure.append(listener)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The keeper starts the thread with ``begin``; by itself a writer has no database to write to."""
        if self._thread is None:
            raise StoreError("The writer is started by its keeper.", cure="Call the keeper's start().")

    def begin(self, committer: Committer, close: Callable[[], None]) -> None:
        """Start the thread. Called once, on the loop that will add changes."""
        self._loop = asyncio.get_running_loop()
        self._committer = committer
        committer.watched = self._watched
        self._collector.begin()
        self._thread = threading.Thread(
            target=self._work, args=(committer, close), name="rco-sqlite-writer", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """See ``Writer.stop``. May be called before the start, twice, and after a failure."""
        if self._thread is None:
            return
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_future()
            self._hurry.set()
            self._collector.close(StoreError("The writer has stopped.", cure="Start the service again."))
            await self._collector.idle()
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._stopping.set_result(None)
        else:
            await asyncio.shield(self._stopping)

    def _failed(self, batch: Batch, error: BaseException) -> None:
        self._collector.failed(batch, error)
        self._collector.tell_all(self._on_failure, error)

    # -- the thread's side -----------------------------------------------------------------------------------------

    def _work(self, committer: Committer, close: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            while (batch := self._queue.get()) is not None:
                try:
                    committed = self._attempt(committer, batch)
                except BaseException as error:  # noqa: BLE001 - it is handed to the loop, which stops the node
                    self._loop.call_soon_threadsafe(self._failed, batch, _permanent(error))
                    break
                self._loop.call_soon_threadsafe(self._collector.finished, batch, committed)
        except RuntimeError:
            # The loop was closed without stop(): nobody is left to tell.
            pass
        finally:
            close()

    def _attempt(self, committer: Committer, batch: Batch) -> Committed:
        attempt, began = 0, 0.0
        while True:
            try:
                if self._turns is None:
                    return committer.commit(batch)
                with self._turns:
                    return committer.commit(batch)
            except sqlite3.Error as error:
                now = self._clock.monotonic()
                attempt, began = attempt + 1, began if attempt else now
                options = self._options
                patience_s = options.give_up_at_stop_s if self._hurry.is_set() else options.give_up_after_s
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _TRANSIENT or now - began > patience_s:
                    raise
                delay_s = options.backoff.delay_s(attempt, _no_jitter)
                # A stop ends the wait at once; from then on the event is set for good, so wait on another.
                (threading.Event() if self._hurry.is_set() else self._hurry).wait(delay_s)


def _no_jitter() -> float:
    return 0.0


def _permanent(error: BaseException) -> BaseException:
    if isinstance(error, (Fenced, StoreError)):
        return error
    failed = StoreError(
        f"The database can no longer be written: {error}.", cure="Free or replace the disk, then start again."
    )
    failed.__cause__ = error
    return failed
