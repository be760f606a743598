"""The writing side of a model keeper: group commit over a link that may lose answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from rco.errors import StoreError
from rco.kit.backoff import Backoff
from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.model.principal import Principal
from rco.store.contract.changes import Changes
from rco.store.contract.retaining import Removed
from rco.store.contract.writer import Flushed
from rco.testing.database import ModelDatabase
from rco.testing.link import ConnectionLost, Link
from rco.testing.tables import Batch, Committed, Drop, Rewound

__all__ = ["ModelWriter"]

NOTES_LIMIT = 512
_ROWS = (
    *("drafts", "opened", "opened_segments", "ended", "moved", "start_keys", "messages", "taken", "waiters"),
    *("waiters_gone", "events", "letters", "letters_replayed", "decisions", "admissions", "queues", "versions"),
    *("attributes", "payloads", "staged"),
)
_AGAIN = Backoff(first_s=0.05, cap_s=1.0, jitter=0.0)


class ModelWriter:
    """Implements ``rco.store.contract.writer.Writer``. One transaction is in flight at a time.

    When a connection breaks, it asks what became of the transaction and writes it again only if it was not done.
    """

    def __init__(self, database: ModelDatabase, link: Link, clock: Clock, node: str, chain: str) -> None:
        self._database, self._link, self._clock = database, link, clock
        self._node, self._chain = node, chain
        self.epoch = 0
        self.fence: dict[int, int] | None = None
        self.head = (0, bytes(32))
        self.on_rewound: Callable[[], bool] = lambda: False
        """Asked when the database lost commits; true when this node can go on."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._collecting = Changes()
        self._epochs: dict[int, int] = {}
        """Under which epoch each shard of what is being collected was owned when its first row was added."""
        self._notes: deque[Decision] = deque()
        self._conceal: Callable[[Changes], None] | None = None
        self._principals: list[tuple[Principal, bytes, asyncio.Future[bool]]] = []
        self._drops: list[tuple[Drop, asyncio.Future[Removed]]] = []
        self._busy = False
        self._in_flight: Batch | None = None
        self._asking: list[asyncio.Future[bool]] = []
        self._dropping: list[asyncio.Future[Removed]] = []
        self._in_flight_rows = 0
        self._count = 0
        self._failures = 0
        self._dropped = 0
        self._ended: BaseException | None = StoreError("The writer is not started.")
        self._idle: list[asyncio.Future[None]] = []
        self._on_flush: list[Callable[[Flushed], None]] = []
        self._on_failure: list[Callable[[BaseException], None]] = []

    # -- adding ----------------------------------------------------------------------------------------------------

    def changes(self, shard: int) -> Changes:
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if self.fence is not None:
            # The epoch of the first row counts: what was added under one that ended must not pass under the next.
            self._epochs.setdefault(shard, self.fence.get(shard, -1))
        self._schedule()
        return self._collecting

    def watch(self, namespaces: frozenset[str]) -> None:
        """The model asks its tables at every commit."""

    def note(self, decision: Decision) -> None:
        if self._ended is not None:
            self._dropped += 1
            return
        if len(self._notes) >= NOTES_LIMIT:
            self._notes.popleft()
            self._dropped += 1
        self._notes.append(decision)
        self._schedule()

    def principal(self, principal: Principal, token: bytes) -> asyncio.Future[bool]:
        """Put ``principal`` into the next transaction. The future tells whether it was refused."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._principals.append((principal, token, future))
        self._schedule()
        return future

    def drop(self, drop: Drop) -> asyncio.Future[Removed]:
        """Do ``drop`` in the next transaction, whose link holds its record. The future tells what it removed."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        future: asyncio.Future[Removed] = asyncio.get_running_loop().create_future()
        self._drops.append((drop, future))
        self._schedule()
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

    def conceal_with(self, conceal: Callable[[Changes], None]) -> None:
        self._conceal = conceal

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The keeper begins it."""
        if self._loop is None:
            raise StoreError("The writer is started by its keeper.", cure="Call the keeper's start().")

    def begin(self) -> None:
        """Ready to write; ``epoch``, ``fence`` and ``head`` are set. Called again after the database lost commits."""
        self._loop = asyncio.get_running_loop()
        self._ended = None

    async def stop(self) -> None:
        if self._ended is None:
            self._ended = StoreError("The writer has stopped.", cure="Start the service again.")
            if not self._busy:
                self._busy = True
                self._hand_over()
        await self.settled()

    async def settled(self) -> None:
        """Wait until all that was added is committed, or can no longer be."""
        while self._busy:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(done)
            await done

    # -- flushing --------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._busy:
            assert self._loop is not None
            self._busy = True
            self._loop.call_soon(self._hand_over)

    def _take(self) -> bool:
        changes = self._collecting
        asked = self._notes or self._principals or self._drops
        if not (asked or any(getattr(changes, name) for name in _ROWS)):
            return False
        if self._conceal is not None:
            self._conceal(changes)
        self._in_flight_rows = self.backlog
        self._count += 1
        self._in_flight = Batch(
            (f"{self._node} {self._chain}", self._count),
            changes,
            list(self._notes),
            [(principal, token) for principal, token, _ in self._principals],
            self._node,
            self.epoch,
            self._clock.now_us(),
            self._chain,
            self.head,
            None if self.fence is None else self._epochs,
            [drop for drop, _ in self._drops],
        )
        self._epochs = {}
        self._asking = [future for _, _, future in self._principals]
        self._dropping = [future for _, future in self._drops]
        self._collecting, self._principals, self._drops = Changes(), [], []
        self._notes.clear()
        self._send(self._in_flight)
        return True

    def _hand_over(self) -> None:
        if self._in_flight is not None or self._take():
            return
        self._busy = False
        changes, self._collecting = self._collecting, Changes()
        self._epochs = {}
        for call, arguments in changes.then:
            self._call(call, *arguments)
        self._rest()

    def _send(self, batch: Batch) -> None:
        if self._in_flight is batch:
            self._link.ask(partial(self._database.commit, batch), partial(self._answered, batch))

    def _answered(self, batch: Batch, committed: Committed | None, error: BaseException | None) -> None:
        if self._in_flight is not batch:
            return
        if committed is not None:
            self._finished(batch, committed)
        elif isinstance(error, (ConnectionLost, Rewound)):
            # Lost on the way, or written by a request that was thought lost: the database knows which.
            assert self._loop is not None
            self._failures += 1
            delay_s = _AGAIN.delay_s(self._failures, _no_jitter)
            self._loop.call_later(delay_s, self._find_out, batch, error)
        else:
            self._failed(batch, error or StoreError("no answer"))

    def _find_out(self, batch: Batch, before: BaseException) -> None:
        if self._in_flight is batch:
            self._link.ask(partial(self._database.outcome, batch.token), partial(self._found, batch, before))

    def _found(
        self, batch: Batch, before: BaseException, committed: Committed | None, error: BaseException | None
    ) -> None:
        if self._in_flight is not batch:
            return
        if committed is not None:
            self._finished(batch, committed)
        elif error is not None:
            self._answered(batch, None, error)
        elif isinstance(before, Rewound):
            self._rewound(before)
        else:
            self._send(batch)

    def _finished(self, batch: Batch, committed: Committed) -> None:
        self.head = (committed.seal.n, committed.seal.hash)
        self._failures = 0
        asking, self._asking = self._asking, []
        dropping, self._dropping = self._dropping, []
        self._in_flight, self._in_flight_rows = None, 0
        if not self._take():
            if self._collecting.then:
                assert self._loop is not None
                self._loop.call_soon(self._hand_over)
            else:
                self._busy = False
        for admission, admitted in zip(batch.changes.admissions, committed.admitted, strict=True):
            self._call(admission.done, admitted)
        for future, refused in zip(asking, committed.refused, strict=True):
            if not future.done():
                future.set_result(refused)
        for dropped, removed in zip(dropping, committed.removed, strict=True):
            if not dropped.done():
                dropped.set_result(removed)
        for call, arguments in batch.changes.then:
            self._call(call, *arguments)
        for listener in self._on_flush:
            self._call(listener, committed.flushed)
        self._rest()

    def rewound(self, found: tuple[int, bytes]) -> None:
        """The database was found to stand at ``found``, behind what it had acknowledged."""
        if self._ended is None and found[0] < self.head[0]:
            self._rewound(Rewound(f"chain {self._chain} stands at {found[0]}, not at {self.head[0]}."))

    def _rewound(self, error: Rewound) -> None:
        """What memory holds is ahead of the database: let go of all that was to be written."""
        self._ended, self._busy = error, False
        self._drop(error)
        if not self.on_rewound():
            self._end(error)
        self._rest()

    def _failed(self, _: Batch, error: BaseException) -> None:
        self._ended, self._busy = error, False
        self._drop(error)
        self._end(error)
        self._rest()

    def _drop(self, error: BaseException) -> None:
        batch = self._in_flight
        self._in_flight, self._in_flight_rows = None, 0
        lost, self._collecting = self._collecting, Changes()
        self._epochs = {}
        asked: list[asyncio.Future[Any]] = [*self._asking, *self._dropping]
        asked += [future for _, _, future in self._principals]
        asked += [future for _, future in self._drops]
        for future in asked:
            if not future.done():
                future.set_exception(error)
        self._asking, self._principals, self._dropping, self._drops = [], [], [], []
        for admission in (*(batch.changes.admissions if batch is not None else ()), *lost.admissions):
            self._call(admission.failed, error)
        for changes in (*((batch.changes,) if batch is not None else ()), lost):
            for call in changes.lost:
                self._call(call, error)

    def _end(self, error: BaseException) -> None:
        self._dropped += len(self._notes)
        self._notes.clear()
        for listener in self._on_failure:
            self._call(listener, error)

    def _rest(self) -> None:
        if not self._busy:
            idle, self._idle = self._idle, []
            for waiting in idle:
                if not waiting.done():
                    waiting.set_result(None)

    def _call(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - one callback's error must not keep the others from their commit
            assert self._loop is not None
            self._loop.call_exception_handler({"message": "A callback after a commit failed.", "exception": error})


def _no_jitter() -> float:
    return 0.0
