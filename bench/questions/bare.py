"""The bare group commit: what SQLite and this machine give when a row is only a row.

N producers each wait until their row of about 200 bytes is durable; one thread takes all that is there and commits it.
No keys, no fingerprints, no replay, no deadlines, no evidence, no metrics: the floor under every figure of ours.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from queue import SimpleQueue

from bench.figure import Asked, Measured
from bench.question import Question, Round
from bench.rig import side_by_side
from rco.kit import memory

__all__ = ["QUESTION"]

_ROW = os.urandom(100).hex().encode()
_ROWS = {1: 4_000, 100: 60_000, 1000: 100_000}
_Row = tuple[int, int, bytes]


class _Bare:
    """A writer thread with one connection."""

    def __init__(self, path: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
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

    def close(self) -> int:
        """End; gives how many rows there are."""
        self._queue.put(None)
        self._thread.join()
        rows = self._connection.execute("SELECT count(*) FROM step").fetchone()[0]
        self._connection.close()
        return int(rows)


def _tell(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


async def _ask(round: Round) -> list[Measured]:
    memory.settle()
    measured = []
    for producers, rows in _ROWS.items():
        bare = _Bare(str(round.folder / f"bare{producers}.db"))
        count = round.count(rows, least=producers)
        took_s, cpu_s = await side_by_side(count, producers, bare.row)
        stored = bare.close()
        assert stored == count, f"{stored} rows are there, {count} were written"
        measured.append(
            Measured(
                name=f"bare-{producers}",
                value=count / took_s,
                cpu_s_per_1000=cpu_s / count * 1000,
                settings={"synchronous": "FULL", "row_bytes": len(_ROW), "producers": producers},
            )
        )
    return measured


QUESTION = Question(
    asked=tuple(
        Asked(name=f"bare-{producers}", text=f"raw: rows by bare group commit, {producers} at a time", unit="/s")
        for producers in _ROWS
    ),
    ask=_ask,
    raw=True,
)
