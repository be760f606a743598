"""Nodes on one database, in this process, with leases short enough to watch them run out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rco.audit.chain import ChainSealer
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.event import Event
from rco.model.message import Message
from rco.model.run import Mode, RunRow
from rco.store.contract.changes import Admission, Admitted, Changes, Draft
from rco.store.postgres import PostgresKeeper, PostgresOptions

SHORT = PostgresOptions(heartbeat_s=0.15, ttl_s=0.9, margin_s=0.2, poll_s=0.2)


class Node:
    """A keeper and what a test does with it."""

    def __init__(self, dsn: str, name: str, options: PostgresOptions) -> None:
        self.clock = SystemClock()
        self.ids = Ids(self.clock)
        self.name = name
        self.keeper = PostgresKeeper(
            dsn, clock=self.clock, ids=self.ids, sealer=ChainSealer(), node=name, options=options
        )
        self.writer, self.reader, self.ownership = self.keeper.writer, self.keeper.reader, self.keeper.ownership
        self.gained: list[frozenset[int]] = []
        self.left: list[frozenset[int]] = []
        self.mail: list[bytes] = []
        self.failures: list[BaseException] = []
        self._changed = asyncio.Event()
        self.ownership.on_gained(lambda shards: self._note(self.gained, shards))
        self.ownership.on_leaving(lambda shards: self._note(self.left, shards))
        self.keeper.on_mail(lambda run_id: self._note(self.mail, run_id))
        self.writer.on_failure(lambda error: self._note(self.failures, error))

    def _note(self, into: list[Any], what: Any) -> None:
        into.append(what)
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something was told that makes it true."""
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def commit(self, fill: Callable[[Changes], object], shard: int = 0) -> None:
        """Add and wait for the commit. Raises what the changes were lost by."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        changes = self.writer.changes(shard)
        fill(changes)
        changes.then.append((done.set_result, (None,)))
        changes.lost.append(done.set_exception)
        await done

    async def admit(self, shard: int = 0, **parts: Any) -> Admitted:
        future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        admission = Admission(done=future.set_result, failed=future.set_exception, **parts)
        self.writer.changes(shard).admissions.append(admission)
        return await future

    def row(self, shard: int, **more: Any) -> RunRow:
        run_id = self.ids.uuid7(shard)
        return RunRow(run_id=run_id, workflow="w", version="1", mode=Mode.HOT, opened_us=1, **more)

    async def open(self, shard: int) -> bytes:
        row = self.row(shard)

        def fill(changes: Changes) -> None:
            changes.opened.append(row)
            changes.drafts.append(draft(row.run_id, 0, b"start"))

        await self.commit(fill, shard)
        return row.run_id

    def event(self, id: str, subject: str) -> Event:
        now = self.clock.now_us()
        return Event(
            id=id, source="s", type="paid", data=b"{}", time_us=now, received_us=now, corr_id="c", subject=subject
        )

    def message(self, run_id: bytes, id: str = "m") -> Message:
        return Message(run_id, id, "child", "go", b"\xc0", 1)


def draft(run_id: bytes, first_seq: int, *parts: bytes) -> Draft:
    made = Draft(run_id, first_seq)
    made.parts.extend(parts)
    return made


MakeNode = Callable[..., Node]


@pytest.fixture
async def make_node(postgres_dsn: str) -> AsyncIterator[MakeNode]:
    """Makes nodes; those that are still there are stopped at the end."""
    made: list[Node] = []

    def make(name: str, options: PostgresOptions = SHORT, dsn: str = postgres_dsn) -> Node:
        made.append(Node(dsn, name, options))
        return made[-1]

    yield make
    for node in made:
        await node.keeper.stop()


@pytest.fixture
def kill() -> Callable[[Node], None]:
    """Makes a node fall silent without a word, as SIGKILL does: its connections break, nothing of it runs."""

    def now(node: Node) -> None:
        keeper: Any = node.keeper
        for task in [keeper._leases._task, *keeper._mail._tasks, *keeper._tasks]:
            task.cancel()
        for flusher in node.writer.flushers:
            flusher._task.cancel()  # type: ignore[union-attr]
            if flusher._line._connection is not None:
                flusher._line._connection.terminate()
        for line in (keeper._leases._line, keeper._mail._line):
            if line._connection is not None:
                line._connection.terminate()
        keeper._identity.epoch = 0
        keeper._stopped = True

        async def stop() -> None:
            await keeper.reader.stop()
            await keeper._leases.stop()
            await keeper._mail.stop()
            await keeper._housekeeping.close()

        keeper.stop = stop

    return now
