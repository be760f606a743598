"""The raw limits under every figure: how often a disk keeps what it was given, how far away the database is, and the
bare group commit.

The bare group commit is what a store and this machine give when a row is only a row: N producers each wait until their
row of about 200 bytes is durable; one writer takes all that is there and commits it. No keys, no fingerprints, no
replay, no deadlines, no evidence, no metrics. It goes to the drivers directly: what it measures is that nothing of ours
is in between.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from rco.measure.scratch import Place

__all__ = ["ROW_BYTES", "Bare", "flushes_per_s", "open_bare", "round_trip_ms"]

BLOCK_BYTES = 4096
_ROW = os.urandom(100).hex().encode()
ROW_BYTES = len(_ROW)
_Row = tuple[int, int, bytes]


def flushes_per_s(folder: Path, count: int) -> float:
    """Appends of 4 KiB with fdatasync, one after the other, on the disk of ``folder``."""
    path = folder / "flushes.bin"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    block = os.urandom(BLOCK_BYTES)
    try:
        began = time.perf_counter()
        for number in range(count):
            os.pwrite(handle, block, number * BLOCK_BYTES)
            os.fdatasync(handle)
        return count / (time.perf_counter() - began)
    finally:
        os.close(handle)
        path.unlink()


async def round_trip_ms(place: Place, count: int) -> float:
    """The median time of an empty statement: the way to the server and back."""
    import asyncpg

    connection = await asyncpg.connect(place.where)
    took_ms = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            await connection.fetchval("SELECT 1")
            took_ms.append((time.perf_counter() - began) * 1e3)
    finally:
        await connection.close()
    return sorted(took_ms)[len(took_ms) // 2]


class Bare(Protocol):
    """A writer of bare rows."""

    async def row(self) -> None:
        """Write one row; returns when it is durable."""
        ...

    async def close(self) -> int:
        """End; gives how many rows there are."""
        ...


async def open_bare(place: Place) -> Bare:
    """A bare writer with an empty table of its own at ``place``; one at a time."""
    if place.store == "postgresql":
        return await _BarePostgres.open(place.where)
    return _BareSqlite(str(Path(place.where).with_name("bare.db")))


class _BareSqlite:
    """A writer thread with one connection."""

    def __init__(self, path: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("DROP TABLE IF EXISTS step")
        self._connection.execute("CREATE TABLE step (n INTEGER PRIMARY KEY, at_us INTEGER, data BLOB)")
        self._queue: SimpleQueue[tuple[_Row, asyncio.Future[None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._n = 0

    async def row(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._n += 1
        self._queue.put(((self._n, time.time_ns() // 1000, _ROW), future))
        await future

    def _work(self) -> None:
        execute, executemany = self._connection.execute, self._connection.executemany
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch = [first]
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    return
                batch.append(more)
            execute("BEGIN IMMEDIATE")
            executemany("INSERT INTO step VALUES (?,?,?)", [row for row, _ in batch])
            execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, [future for _, future in batch])

    async def close(self) -> int:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        rows = self._connection.execute("SELECT count(*) FROM step").fetchone()[0]
        self._connection.close()
        return int(rows)


class _BarePostgres:
    """A task with one connection; each batch is one INSERT ... SELECT unnest, and so one commit."""

    _INSERT = "INSERT INTO bare_step SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._rows: list[tuple[_Row, asyncio.Future[None]]] = []
        self._some = asyncio.Event()
        self._n = 0
        self._task = self._loop.create_task(self._work())

    @classmethod
    async def open(cls, where: str) -> _BarePostgres:
        import asyncpg

        connection = await asyncpg.connect(where)
        await connection.execute("DROP TABLE IF EXISTS bare_step")
        await connection.execute("CREATE TABLE bare_step (n bigint PRIMARY KEY, at_us bigint, data bytea)")
        return cls(connection)

    async def row(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._n += 1
        self._rows.append(((self._n, time.time_ns() // 1000, _ROW), future))
        self._some.set()
        await future

    async def _work(self) -> None:
        insert = await self._connection.prepare(self._INSERT)
        while True:
            await self._some.wait()
            self._some.clear()
            batch, self._rows = self._rows, []
            columns = zip(*(row for row, _ in batch), strict=True)
            try:
                await insert.fetch(*columns)
            except Exception as problem:  # noqa: BLE001 - it is whoever waits who fails
                for _, future in batch:
                    future.set_exception(problem)
                return
            _tell([future for _, future in batch])

    async def close(self) -> int:
        self._task.cancel()
        await asyncio.wait([self._task])
        rows = await self._connection.fetchval("SELECT count(*) FROM bare_step")
        await self._connection.close()
        return int(rows)


def _tell(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)
