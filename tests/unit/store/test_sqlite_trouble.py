"""What the SQLite keeper does when SQLite refuses: try again, or give up loudly."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest
from msgspec.structs import replace

from rco.audit.chain import ChainSealer
from rco.errors import StoreError
from rco.kit.backoff import Backoff
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.run import Mode, RunRow
from rco.store import migrate
from rco.store.contract.changes import Admission, Draft
from rco.store.sqlite import SqliteKeeper, SqliteOptions
from rco.store.sqlite.commit import Committer
from rco.store.sqlite.connection import open_reader, open_writer
from rco.store.sqlite.writer import SqliteWriter


class CountingClock(SystemClock):
    """Tells when it was asked often enough: each attempt of a transaction asks twice."""

    __slots__ = ("asked", "enough", "reached")

    def __init__(self) -> None:
        self.asked, self.enough, self.reached = 0, 0, threading.Event()

    def expect(self, more: int) -> None:
        self.reached.clear()
        self.enough = self.asked + more

    def monotonic(self) -> float:
        self.asked += 1
        if self.asked == self.enough:
            self.reached.set()
        return super().monotonic()


HANG_S = 20.0
"""Only so that a keeper that never tries again fails the test instead of holding it up."""
QUICK = SqliteOptions(busy_timeout_s=0.0, backoff=Backoff(first_s=0.001, cap_s=0.002, jitter=0.0))


@pytest.fixture
def path(tmp_path):
    migrate.up(tmp_path / "rco.sqlite")
    return tmp_path / "rco.sqlite"


@pytest.fixture
def locked(path):
    """Somebody else holds the write lock until ``rollback``."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def keeper_of(path, clock, options) -> SqliteKeeper:
    return SqliteKeeper(path, clock=clock, ids=Ids(), sealer=ChainSealer(), node="n", options=options)


def admission_of(ids: Ids) -> tuple[Admission, asyncio.Future]:
    future = asyncio.get_running_loop().create_future()
    row = RunRow(run_id=ids.uuid7(), workflow="w", version="1", mode=Mode.HOT, opened_us=1)
    return Admission(done=future.set_result, failed=future.set_exception, opened=[(row, b"start")]), future


async def test_a_lock_of_somebody_else_is_waited_out(path, locked):
    clock = CountingClock()
    keeper = keeper_of(path, clock, QUICK)
    await keeper.start()
    failures: list[BaseException] = []
    keeper.writer.on_failure(failures.append)
    locked.execute("BEGIN IMMEDIATE")
    clock.expect(6)
    admission, future = admission_of(Ids())
    keeper.writer.changes(0).admissions.append(admission)
    assert await asyncio.to_thread(clock.reached.wait, HANG_S)
    assert not future.done()
    assert keeper.writer.backlog == 1
    locked.execute("ROLLBACK")
    assert (await future).status == "accepted"
    assert failures == []
    assert (await keeper.reader.count_open())[Mode.HOT] == 1
    assert (await keeper.reader.head()).n == 1
    await keeper.stop()


async def test_trouble_that_lasts_is_permanent(path, locked):
    keeper = keeper_of(path, SystemClock(), replace(QUICK, give_up_after_s=0.0))
    await keeper.start()
    failure = asyncio.get_running_loop().create_future()
    keeper.writer.on_failure(failure.set_result)
    locked.execute("BEGIN IMMEDIATE")
    admission, future = admission_of(Ids())
    keeper.writer.changes(0).admissions.append(admission)
    with pytest.raises(StoreError, match="locked"):
        await future
    assert isinstance(await failure, StoreError)
    with pytest.raises(StoreError):
        keeper.writer.changes(0)
    await keeper.stop()


async def test_stop_ends_even_when_nothing_can_be_written(path, locked):
    clock = CountingClock()
    keeper = keeper_of(path, clock, replace(QUICK, give_up_at_stop_s=0.0))
    await keeper.start()
    locked.execute("BEGIN IMMEDIATE")
    clock.expect(4)
    admission, future = admission_of(Ids())
    keeper.writer.changes(0).admissions.append(admission)
    assert await asyncio.to_thread(clock.reached.wait, HANG_S)
    await keeper.stop()
    with pytest.raises(StoreError):
        await future


async def test_a_full_disk_is_waited_out(path):
    """A bound on the pages makes SQLite say what a full disk makes it say."""
    clock = CountingClock()
    connection = open_writer(path, QUICK)
    connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the size that the file has already
    committer = Committer(connection, sealer=ChainSealer(), clock=clock, writer="n", epoch=0)
    writer = SqliteWriter(clock=clock, options=QUICK)
    writer.begin(committer, connection.close)
    clock.expect(6)
    admission, future = admission_of(Ids())
    changes = writer.changes(0)
    draft = Draft(bytes(16), 0)
    draft.parts.append(bytes(1 << 20))
    changes.drafts.append(draft)
    changes.admissions.append(admission)
    assert await asyncio.to_thread(clock.reached.wait, HANG_S)
    assert not future.done()
    connection.execute("PRAGMA max_page_count = 1000000")
    assert (await future).status == "accepted"
    await writer.stop()
    check = sqlite3.connect(path)
    assert check.execute("SELECT count(*), max(length(data)) FROM journal").fetchone() == (2, 1 << 20)
    assert check.execute("SELECT count(*) FROM seal").fetchone() == (1,)
    check.close()


def test_every_commit_is_on_the_disk_before_it_returns(path):
    connection = open_writer(path, SqliteOptions())
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    connection.close()


def test_a_reader_cannot_write(path):
    open_writer(path, SqliteOptions()).close()
    connection = open_reader(path, SqliteOptions())
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM seal")
    connection.close()


async def test_a_path_with_strange_characters_is_that_path(tmp_path):
    path = tmp_path / "a b#c?mode=memory%41.sqlite"
    migrate.up(path)
    keeper = keeper_of(path, SystemClock(), SqliteOptions())
    await keeper.start()
    admission, future = admission_of(Ids())
    keeper.writer.changes(0).admissions.append(admission)
    await future
    assert (await keeper.reader.head()).n == 1
    await keeper.stop()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)
    connection.close()
