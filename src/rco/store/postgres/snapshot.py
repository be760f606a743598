"""A PostgreSQL database as it is at one moment, whoever writes to it meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import msgspec

from rco.errors import RcoError, StoreError
from rco.model.run import Mode
from rco.store import rows
from rco.store.contract.diagnosis import STUCK_LOOKED_AT, Idle, Stuck
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.reader import Segment
from rco.store.contract.snapshot import History, LeaseRange, NodeRow
from rco.store.contract.versions import OpenRuns
from rco.store.contract.writer import Seal
from rco.store.postgres import migrate, payloads, read_evidence, read_runs, staging, versions
from rco.store.postgres.aside import Aside
from rco.store.postgres.connection import Connection, connect, state_of
from rco.store.postgres.operate import CHAIN
from rco.store.postgres.options import PostgresOptions

__all__ = ["PostgresSnapshot", "open_snapshot"]

_ANSWER_S = 600.0
_RUNS, _ROWS = 500, 200
_BATCH, _BATCH_BYTES = 200, 4 << 20
_EVERY_RUN = f"SELECT * FROM ({rows.OPEN_RUNS} UNION ALL {rows.CLOSED_RUNS}) AS every ORDER BY run_id"
_EVERY_SEGMENT = f"SELECT {rows.SEGMENT_COLUMNS}, chain FROM journal ORDER BY run_id, first_seq"
_EVERY_TIMER = "SELECT run_id, due_us FROM timer ORDER BY run_id"
_BY_HAND = "SELECT decisions FROM seal WHERE chain = $1 ORDER BY n"
_LEASES = "SELECT shard, owner, epoch FROM lease WHERE shard < 256 ORDER BY shard"
_NODES = (
    "SELECT name, pid, epoch, started_us, draining, skew_us, CASE WHEN isfinite(alive_until) THEN greatest(0,"
    " extract(epoch FROM alive_until - clock_timestamp())::double precision) ELSE 0 END FROM node ORDER BY started_us"
)
_STUCK = (
    "SELECT run_id, workflow, coalesce((SELECT s.at_us FROM journal AS j JOIN seal AS s ON s.chain = j.chain AND"
    " s.n = j.n WHERE j.run_id = r.run_id ORDER BY j.first_seq DESC LIMIT 1), 0) AS since_us FROM (SELECT run_id,"
    " workflow FROM run WHERE mode = $1 ORDER BY run_id LIMIT $2) AS r ORDER BY since_us"
)
_IDLE = "SELECT run_id, workflow, mode, detail FROM run WHERE mode = $1 ORDER BY run_id LIMIT $2"
_OVERDUE = "SELECT count(*), coalesce(min(due_us), 0) FROM timer WHERE due_us < $1"
_LETTERS = "SELECT count(*) FROM dead_letter WHERE replayed_us IS NULL"


class PostgresSnapshot:
    """Implements ``rco.store.contract.snapshot.Snapshot`` over one REPEATABLE READ transaction that may only read; so
    it works on a standby as well.

    As long as it lives, the server keeps every row version that it may still see: it is for minutes, not for days.
    """

    def __init__(self, aside: Aside, connection: Connection) -> None:
        self._aside, self._connection = aside, connection

    def fetch(self, sql: str, *values: Any) -> list[Any]:
        """The rows of one statement of this moment."""
        found: list[Any] = self._aside.ask(self._connection.fetch(sql, *values))
        return found

    def schema(self) -> str:
        return max(self._aside.ask(migrate.applied(self._connection)), default="")

    def payload_space(self) -> str:
        return str(self.fetch(payloads.SPACE)[0][0])

    # -- evidence --------------------------------------------------------------------------------------------------

    def chains(self) -> list[str]:
        return [row[0] for row in self.fetch(read_evidence.CHAINS)]

    def head(self, chain: str = "") -> Seal | None:
        found = self.fetch(read_evidence.HEAD, chain)
        return rows.seal(found[0]) if found else None

    def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]:
        return [rows.seal(row) for row in self.fetch(read_evidence.SEALS, chain, first_n, limit)]

    def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        spans = self.fetch(read_evidence.SPANS, chain, first_n, last_n)
        run_ids, seqs = read_evidence.places([row[0] for row in spans])
        return [Segment(*row) for row in self.fetch(read_evidence.ROWS_AT, run_ids, seqs)]

    def trimmed(self) -> dict[str, int]:
        last: dict[str, int] = {}
        for row in self.fetch(_BY_HAND, CHAIN):
            for decision in msgspec.json.decode(row[0]):
                if decision.get("verb") == "trim":
                    for chain, _, n in msgspec.json.decode(decision["facts"]["chains"]):
                        last[chain] = max(n, last.get(chain, 0))
        return last

    # -- who owns what ---------------------------------------------------------------------------------------------

    def leases(self) -> list[LeaseRange]:
        return rows.lease_ranges(self.fetch(_LEASES))

    def nodes(self) -> list[NodeRow]:
        return [
            NodeRow(name, pid, epoch, started_us, None, draining, alive_s, skew_us)
            for name, pid, epoch, started_us, draining, skew_us, alive_s in self.fetch(_NODES)
        ]

    def namespace_keys(self) -> list[NamespaceKey]:
        found = self.fetch(f"SELECT {rows.NAMESPACE_KEY_COLUMNS} FROM namespace_key ORDER BY seq")
        return [rows.namespace_key(tuple(row)) for row in found]

    # -- runs ------------------------------------------------------------------------------------------------------

    def histories(self) -> Iterator[History]:
        every = self._histories()
        while batch := self._aside.ask(_batch(every)):
            yield from batch

    async def _histories(self) -> AsyncIterator[History]:
        """Four cursors of the server in the order of run ids, side by side."""
        runs = await _Ahead.over(self._connection, _EVERY_RUN, _RUNS)
        segments = await _Ahead.over(self._connection, _EVERY_SEGMENT, _ROWS)
        messages = await _Ahead.over(self._connection, read_runs.EVERY_MESSAGE, _ROWS)
        timers = await _Ahead.over(self._connection, _EVERY_TIMER, _RUNS)
        while (row := await runs.next()) is not None:
            run = rows.run(row)
            due = await timers.of(run.run_id)
            yield History(
                run,
                [Segment(*one) for one in await segments.of(run.run_id)],
                [read_runs.message(one) for one in await messages.of(run.run_id)],
                due[0][1] if due else None,
            )

    # -- what is not well ------------------------------------------------------------------------------------------

    def stuck_runs(self, before_us: int) -> list[Stuck]:
        found = self.fetch(_STUCK, int(Mode.HOT), STUCK_LOOKED_AT)
        return [Stuck(*row) for row in found if row[2] < before_us]

    def unsettled(self) -> tuple[int, int]:
        counts = {row[0]: row[1] for row in self.fetch(read_runs.COUNT)}
        return counts.get(int(Mode.BLOCKED), 0), counts.get(int(Mode.IN_DOUBT), 0)

    def idle_runs(self, mode: Mode, limit: int) -> list[Idle]:
        found = self.fetch(_IDLE, int(mode), limit)
        return [Idle(run_id, workflow, Mode(mode), detail) for run_id, workflow, mode, detail in found]

    def overdue(self, before_us: int) -> tuple[int, int]:
        [(count, first_us)] = self.fetch(_OVERDUE, before_us)
        return count, first_us

    def homeless(self) -> list[OpenRuns]:
        return [OpenRuns(*row) for row in self.fetch(versions.HOMELESS)]

    def waiting_letters(self) -> int:
        return int(self.fetch(_LETTERS)[0][0])

    def staged(self, before_us: int) -> tuple[int, int]:
        [(count, first_us)] = self.fetch(staging.COUNT, before_us)
        return count, first_us


class _Ahead:
    """A cursor of rows that begin with a run id, in its order, read a page ahead."""

    def __init__(self, cursor: Any, page: int) -> None:
        self._cursor, self._page = cursor, page
        self._rows: list[Any] = []
        self._at = 0

    @classmethod
    async def over(cls, connection: Connection, sql: str, page: int) -> _Ahead:
        return cls(await connection.cursor(sql), page)

    async def _peek(self) -> Any:
        if self._at == len(self._rows):
            self._rows, self._at = await self._cursor.fetch(self._page), 0
        return self._rows[self._at] if self._rows else None

    async def next(self) -> Any:
        row = await self._peek()
        self._at += 1
        return row

    async def of(self, run_id: bytes) -> list[Any]:
        """The rows of this run; those of smaller ids are passed over."""
        found: list[Any] = []
        while (row := await self._peek()) is not None and row[0] <= run_id:
            if row[0] == run_id:
                found.append(row)
            self._at += 1
        return found


async def _batch(every: AsyncIterator[History]) -> list[History]:
    """So many that going to and fro between threads costs little, and no more than a few mebibytes of journal."""
    batch: list[History] = []
    size_bytes = 0
    async for one in every:
        batch.append(one)
        size_bytes += sum(len(segment.data) for segment in one.segments)
        if len(batch) >= _BATCH or size_bytes >= _BATCH_BYTES:
            break
    return batch


@contextmanager
def open_snapshot(dsn: str, options: PostgresOptions | None = None) -> Iterator[PostgresSnapshot]:
    """The database at this moment. Nodes go on writing meanwhile; nothing of it is changed.

    Raises ``SchemaOutdated`` when it needs migrations or has newer ones, and ``StoreError`` when it cannot be read.
    """
    aside = Aside()
    connection: Connection | None = None
    patient = msgspec.structs.replace(options or PostgresOptions(), answer_timeout_s=_ANSWER_S)
    try:
        connection = aside.ask(connect(dsn, patient))
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        aside.ask(transaction.start())
        aside.ask(connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0"))
        aside.ask(migrate.check_schema(connection))
        yield PostgresSnapshot(aside, connection)
        aside.ask(transaction.rollback())
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        if isinstance(error, RcoError):
            raise
        raise StoreError(
            f"The database could not be read: {state_of(error) or type(error).__name__} {error}.".replace(" .", "."),
            cure="Look at the server, its log and the address.",
        ) from error
    finally:
        if connection is not None:
            connection.terminate()
        aside.close()
