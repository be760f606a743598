"""The loop's side of group commit: what is added is collected into batches, one in flight at a time, without a timer.

Idle, what is collected is handed over at the end of the loop's turn. While a transaction is in flight everything else
collects; when it is done, the next one is handed over first and the callbacks of the finished one run after that, so
that the store works while the loop does. Where a transaction is dear, small ones are joined instead. Who writes the
batches (a thread, a task with a connection) is poured in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from rco.errors import StoreError
from rco.model.decision import Decision
from rco.store.contract.changes import Admitted, Changes
from rco.store.contract.writer import Flushed

__all__ = ["Batch", "Chore", "Collector", "Committed", "Listeners"]

FEW_ROWS, LITTLE_ROWS = 8, 128
"""Below the one it is single runs that wait, and waiting is all that they would gain. Below the other a transaction
costs more than what is in it."""


def _has_rows(changes: Changes) -> bool:
    # Written out: it is asked for every flush, and a loop over names costs ten times as much.
    return bool(
        changes.drafts
        or changes.admissions
        or changes.opened
        or changes.opened_segments
        or changes.ended
        or changes.moved
        or changes.versions
        or changes.start_keys
        or changes.messages
        or changes.taken
        or changes.waiters
        or changes.waiters_gone
        or changes.events
        or changes.letters
        or changes.letters_replayed
        or changes.decisions
        or changes.queues
        or changes.attributes
        or changes.payloads
        or changes.staged
    )


class Chore(msgspec.Struct, frozen=True):
    """A statement from outside the changes (principals), with what to call after the commit.

    One that breaks a constraint fails alone; the transaction goes on without it.
    """

    sql: str
    values: tuple[Any, ...]
    done: Callable[[None], None]
    failed: Callable[[BaseException], None]
    work: Callable[[Any, list[Decision]], None] | None = None
    """Instead of the statement: what to do with the transaction's cursor, and the decisions that go into its link."""


class Batch(msgspec.Struct, frozen=True):
    """What goes into one transaction."""

    changes: Changes
    notes: list[Decision]
    chores: list[Chore]


class Committed(msgspec.Struct, frozen=True):
    """What came of it. ``admitted`` has the order of the batch's admissions, ``refused`` that of its chores."""

    admitted: list[Admitted]
    refused: list[Exception | None]
    flushed: Flushed


class Listeners:
    """Who is told of commits and of the end. Shared by the collectors of one writer."""

    __slots__ = ("flush",)

    def __init__(self) -> None:
        self.flush: list[Callable[[Flushed], None]] = []


class Collector:
    """Collects for one writer of batches. All methods are called on the loop that called ``begin``.

    ``send`` is given each batch as its flight begins. The writer answers each with ``advance`` and then ``tell`` when
    it is committed (or with ``finished``, which is both, or ``joined``), with ``failed`` when nothing more can be
    written, or with ``dropped`` when this batch cannot be written but later ones can.
    """

    def __init__(self, send: Callable[[Batch], None], listeners: Listeners, notes_limit: int) -> None:
        self._send, self._listeners, self._notes_limit = send, listeners, notes_limit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._collecting = Changes()
        self._notes: deque[Decision] = deque()
        self._chores: list[Chore] = []
        self._busy = False
        """A hand-over is scheduled or a transaction is in flight."""
        self._in_flight: Batch | None = None
        self._in_flight_rows = 0
        self.notes_dropped = 0
        self.conceal: Callable[[Changes], None] | None = None
        """Called with what is handed over, just before."""
        self.ended: BaseException | None = StoreError("The writer is not started.")
        """Why nothing can be added, when that is so."""
        self._idle: list[asyncio.Future[None]] = []

    def begin(self) -> None:
        """Collect from now on."""
        self._loop = asyncio.get_running_loop()
        self.ended = None

    # -- adding ----------------------------------------------------------------------------------------------------

    def changes(self) -> Changes:
        """The transaction now being collected; its hand-over is scheduled. Raises what ended the writer when nothing
        more can be written."""
        if self.ended is not None:
            raise self.ended.with_traceback(None)
        if not self._busy:
            self._schedule()
        return self._collecting

    def note(self, decision: Decision) -> None:
        """See ``Writer.note``. Silent when the writer has ended: nobody waits for it."""
        if self.ended is not None:
            self.notes_dropped += 1
            return
        if len(self._notes) >= self._notes_limit:
            self._notes.popleft()
            self.notes_dropped += 1
        self._notes.append(decision)
        if not self._busy:
            self._schedule()

    def chore(self, sql: str, values: tuple[Any, ...]) -> asyncio.Future[None]:
        """One more statement in the next transaction; the future is done after its commit.

        It fails with the store's own error when the statement breaks a constraint. Raises what ended the writer when
        nothing more can be written.
        """
        return self._add(sql, values, None)

    def work(self, work: Callable[[Any, list[Decision]], None]) -> asyncio.Future[None]:
        """The same for something that is more than one statement. It may be done again with another cursor, after an
        error in between."""
        return self._add("", (), work)

    def _add(
        self, sql: str, values: tuple[Any, ...], work: Callable[[Any, list[Decision]], None] | None
    ) -> asyncio.Future[None]:
        if self.ended is not None:
            raise self.ended.with_traceback(None)
        if not self._busy:
            self._schedule()
        future = asyncio.get_running_loop().create_future()
        self._chores.append(Chore(sql, values, _resolver(future), _rejecter(future), work))
        return future

    @property
    def backlog(self) -> int:
        """Rows collected or in flight."""
        return self._collected + self._in_flight_rows

    @property
    def _collected(self) -> int:
        changes = self._collecting
        return max(changes.records, len(changes.drafts) + len(changes.messages)) + len(changes.admissions)

    @property
    def collects(self) -> bool:
        """Whether rows wait for their transaction to be handed over."""
        return _has_rows(self._collecting)

    # -- hand-over -------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        assert self._loop is not None
        self._busy = True
        self._loop.call_soon(self._hand_over)

    def _take(self) -> Batch | None:
        """What is collected, as a batch that begins its flight; ``None`` when there is nothing to write."""
        changes = self._collecting
        if not (self._notes or self._chores or _has_rows(changes)):
            return None
        if self.conceal is not None:
            self.conceal(changes)
        self._in_flight_rows = self.backlog
        batch = self._in_flight = Batch(changes, list(self._notes), self._chores)
        self._collecting = Changes()
        self._notes.clear()
        self._chores = []
        self._send(batch)
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

    # -- the writer's answers --------------------------------------------------------------------------------------

    def holds(self, batch: Batch) -> bool:
        """Whether ``batch`` is in flight, and nobody has been told of its end."""
        return self._in_flight is batch

    def finished(self, batch: Batch, committed: Committed) -> None:
        """The batch is committed: hand over the next one, then call back."""
        self.advance()
        self.tell(batch, committed)

    @property
    def is_split(self) -> bool:
        """Whether what just landed and what waited for it had better be one transaction from now on: neither is large,
        and more wait than a few. Two that take turns never meet by themselves: what follows from one is collected while
        the other is in flight."""
        return FEW_ROWS <= self._collected < LITTLE_ROWS and self._in_flight_rows < LITTLE_ROWS

    async def joined(self, batch: Batch, committed: Committed) -> None:
        """``batch`` is committed: call back first, then hand over what waited together with what follows from it. No
        timer: what the callbacks begin has the one turn of the loop that a step of no duration takes."""
        self._in_flight, self._in_flight_rows = None, 0
        self.tell(batch, committed)
        await asyncio.sleep(0)
        self.advance()
        self._rest()

    def advance(self) -> None:
        """The batch in flight has landed: hand over the next one."""
        self._in_flight, self._in_flight_rows = None, 0
        if self._take() is None:
            if self._collecting.then:
                # They wait for nothing but this commit, and come after its own callbacks.
                assert self._loop is not None
                self._loop.call_soon(self._hand_over)
            else:
                self._busy = False

    def tell(self, batch: Batch, committed: Committed) -> None:
        """Call back everybody who waited for ``batch``: admissions, chores, ``then``, listeners, in this order."""
        for admission, admitted in zip(batch.changes.admissions, committed.admitted, strict=True):
            self._call(admission.done, admitted)
        for chore, refused in zip(batch.chores, committed.refused, strict=True):
            if refused is None:
                self._call(chore.done, None)
            else:
                self._call(chore.failed, refused)
        for call, arguments in batch.changes.then:
            self._call(call, *arguments)
        for listener in self._listeners.flush:
            self._call(listener, committed.flushed)
        self._rest()

    def dropped(self, batch: Batch, error: BaseException) -> None:
        """The batch was not written, nor will be what was collected on top of it; what comes later can be.

        Whoever waited is told ``error``. Notes are kept for the next transaction.
        """
        self._in_flight, self._in_flight_rows = None, 0
        self._busy = False
        lost, self._collecting = self._collecting, Changes()
        chores, self._chores = self._chores, []
        self._tell_lost((batch.changes, lost), [*batch.chores, *chores], error)
        if self.ended is None:
            for decision in (*batch.notes, *self._drain_notes()):
                self.note(decision)
        self._rest()

    def failed(self, batch: Batch | None, error: BaseException) -> None:
        """Nothing more can be written. Everybody who waits for a commit is told."""
        self.ended = error
        self._busy = False
        batch = batch or self._in_flight
        self._in_flight, self._in_flight_rows = None, 0
        lost, self._collecting = self._collecting, Changes()
        chores, self._chores = self._chores, []
        self.notes_dropped += len(self._notes)
        self._notes.clear()
        held = () if batch is None else (batch.changes,)
        self._tell_lost((*held, lost), [*(batch.chores if batch is not None else ()), *chores], error)

    def _tell_lost(self, lost: tuple[Changes, ...], chores: list[Chore], error: BaseException) -> None:
        for changes in lost:
            for admission in changes.admissions:
                self._call(admission.failed, error)
        for chore in chores:
            self._call(chore.failed, error)
        for changes in lost:
            for call in changes.lost:
                self._call(call, error)

    def _drain_notes(self) -> list[Decision]:
        notes = list(self._notes)
        self._notes.clear()
        return notes

    # -- ending ----------------------------------------------------------------------------------------------------

    def close(self, why: BaseException) -> None:
        """Take nothing more; what is collected is handed over."""
        if self.ended is None:
            # Set before the last flush: what its callbacks would add could not be written any more.
            self.ended = why
            if not self._busy:
                self._busy = True
                self._hand_over()

    async def idle(self) -> None:
        """Wait until nothing is collected or in flight."""
        if self._busy:
            done = asyncio.get_running_loop().create_future()
            self._idle.append(done)
            await done

    def tell_all(self, listeners: list[Callable[[BaseException], None]], error: BaseException) -> None:
        """Tell each of ``listeners`` why it ended, then who waits for ``idle``."""
        for listener in listeners:
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
            assert self._loop is not None
            self._loop.call_exception_handler({"message": "A callback after a commit failed.", "exception": error})


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
