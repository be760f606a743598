"""Group commit without a timer: the loop collects, one thread commits, and neither waits for a clock.

Idle, what is collected is handed over at the end of the loop's turn. While a transaction is in flight everything else
collects; when it is done, the next one is handed over first and the callbacks of the finished one run after that, so
that the disk works while the loop does.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from rco.errors import Fenced, StoreError
from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.store.contract.changes import Changes
from rco.store.contract.writer import Flushed
from rco.store.sqlite.commit import Batch, Chore, Committed, Committer
from rco.store.sqlite.options import SqliteOptions

__all__ = ["SqliteWriter"]

# BUSY, LOCKED, IOERR, FULL (https://www.sqlite.org/rescode.html): the same batch may succeed later.
_TRANSIENT = frozenset({5, 6, 10, 13})
_ROWS = (
    "drafts",
    "opened",
    "opened_segments",
    "ended",
    "moved",
    "start_keys",
    "messages",
    "taken",
    "waiters",
    "waiters_gone",
    "events",
    "letters",
    "letters_replayed",
    "decisions",
    "admissions",
)


def _has_rows(changes: Changes) -> bool:
    return bool(changes.drafts or changes.admissions) or any(getattr(changes, name) for name in _ROWS)


class SqliteWriter:
    """Implements ``rco.store.contract.writer.Writer`` with one thread and one connection.

    ``start`` is given the committer by the keeper, which has opened the database and taken ownership. What the thread
    holds is closed by ``close`` at its end. All methods are called on the loop that called ``start``.
    """

    def __init__(self, *, clock: Clock, options: SqliteOptions) -> None:
        self._clock, self._options = clock, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._collecting = Changes()
        self._notes: deque[Decision] = deque()
        self._chores: list[Chore] = []
        self._busy = False
        """A hand-over is scheduled or a transaction is in flight."""
        self._in_flight: Batch | None = None
        self._in_flight_rows = 0
        self._dropped = 0
        self._ended: BaseException | None = StoreError("The writer is not started.")
        self._hurry = threading.Event()
        self._idle: list[asyncio.Future[None]] = []
        self._on_flush: list[Callable[[Flushed], None]] = []
        self._on_failure: list[Callable[[BaseException], None]] = []
        self._stopping: asyncio.Future[None] | None = None

    # -- adding ----------------------------------------------------------------------------------------------------

    def changes(self, shard: int) -> Changes:  # noqa: ARG002 - one writer serves all shards here
        """See ``Writer.changes``. Raises what ended the writer when nothing more can be written."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if not self._busy:
            self._schedule()
        return self._collecting

    def note(self, decision: Decision) -> None:
        """See ``Writer.note``. Silent when the writer has ended: nobody waits for it."""
        if self._ended is not None:
            self._dropped += 1
            return
        if len(self._notes) >= self._options.notes_limit:
            self._notes.popleft()
            self._dropped += 1
        self._notes.append(decision)
        if not self._busy:
            self._schedule()

    def chore(self, sql: str, values: tuple[Any, ...]) -> asyncio.Future[None]:
        """One more statement in the next transaction; the future is done after its commit.

        It fails with ``sqlite3.IntegrityError`` when the statement breaks a constraint. Raises what ended the writer
        when nothing more can be written.
        """
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if not self._busy:
            self._schedule()
        future = asyncio.get_running_loop().create_future()
        self._chores.append(Chore(sql, values, _resolver(future), _rejecter(future)))
        return future

    @property
    def backlog(self) -> int:
        changes = self._collecting
        collected = max(changes.records, len(changes.drafts) + len(changes.messages)) + len(changes.admissions)
        return collected + self._in_flight_rows

    @property
    def notes_dropped(self) -> int:
        return self._dropped

    def on_flush(self, listener: Callable[[Flushed], None]) -> None:
        self._on_flush.append(listener)

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
        self._ended = None
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
            await self._drain()
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._stopping.set_result(None)
        else:
            await asyncio.shield(self._stopping)

    async def _drain(self) -> None:
        if self._ended is None:
            # Set before the last flush: what its callbacks would add could not be written any more.
            self._ended = StoreError("The writer has stopped.", cure="Start the service again.")
            self._hurry.set()
            if not self._busy:
                self._busy = True
                self._hand_over()
            if self._busy:
                done = asyncio.get_running_loop().create_future()
                self._idle.append(done)
                await done
        self._busy = False

    # -- the loop's side -------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        assert self._loop is not None
        self._busy = True
        self._loop.call_soon(self._hand_over)

    def _take(self) -> Batch | None:
        """What is collected, as a batch that begins its flight; ``None`` when there is nothing to write."""
        changes = self._collecting
        if not (self._notes or self._chores or _has_rows(changes)):
            return None
        self._in_flight_rows = self.backlog
        batch = self._in_flight = Batch(changes, list(self._notes), self._chores)
        self._collecting = Changes()
        self._notes.clear()
        self._chores = []
        self._queue.put(batch)
        return batch

    def _hand_over(self) -> None:
        if self._in_flight is not None or self._take() is not None:
            return
        # Nothing to write: what was to be called after the commit of all before it can be called now.
        self._busy = False
        changes, self._collecting = self._collecting, Changes()
        for call, arguments in changes.then:
            self._call(call, *arguments)
        self._rest()

    def _finished(self, batch: Batch, committed: Committed) -> None:
        self._in_flight, self._in_flight_rows = None, 0
        if self._take() is None:
            if self._collecting.then:
                # They wait for nothing but this commit, and come after its own callbacks.
                assert self._loop is not None
                self._loop.call_soon(self._hand_over)
            else:
                self._busy = False
        for admission, admitted in zip(batch.changes.admissions, committed.admitted, strict=True):
            self._call(admission.done, admitted)
        for chore, refused in zip(batch.chores, committed.refused, strict=True):
            if refused is None:
                self._call(chore.done, None)
            else:
                self._call(chore.failed, refused)
        for call, arguments in batch.changes.then:
            # As _call does it, without its call: there is one of these for every record.
            try:
                call(*arguments)
            except Exception as error:  # noqa: BLE001 - see _call
                self._report(error)
        for listener in self._on_flush:
            self._call(listener, committed.flushed)
        self._rest()

    def _failed(self, batch: Batch, error: BaseException) -> None:
        """Nothing more can be written. Everybody who waits for a commit is told."""
        self._ended = error
        self._busy = False
        self._in_flight, self._in_flight_rows = None, 0
        lost, self._collecting = self._collecting, Changes()
        chores, self._chores = self._chores, []
        self._dropped += len(self._notes)
        self._notes.clear()
        for admission in (*batch.changes.admissions, *lost.admissions):
            self._call(admission.failed, error)
        for chore in (*batch.chores, *chores):
            self._call(chore.failed, error)
        for listener in self._on_failure:
            self._call(listener, error)
        self._rest()

    def _rest(self) -> None:
        if not self._busy:
            while self._idle:
                waiting = self._idle.pop()
                if not waiting.done():
                    waiting.set_result(None)

    def _call(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - one callback's error must not keep the others from their commit
            self._report(error)

    def _report(self, error: Exception) -> None:
        assert self._loop is not None
        self._loop.call_exception_handler({"message": "A callback after a commit failed.", "exception": error})

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
                self._loop.call_soon_threadsafe(self._finished, batch, committed)
        except RuntimeError:
            # The loop was closed without stop(): nobody is left to tell.
            pass
        finally:
            close()

    def _attempt(self, committer: Committer, batch: Batch) -> Committed:
        attempt, began = 0, 0.0
        while True:
            try:
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


def _resolver(future: asyncio.Future[None]) -> Callable[[None], None]:
    def resolve(_: None) -> None:
        if not future.done():
            future.set_result(None)

    return resolve


def _rejecter(future: asyncio.Future[None]) -> Callable[[BaseException], None]:
    def reject(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    return reject
