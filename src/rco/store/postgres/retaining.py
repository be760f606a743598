"""Dropping on PostgreSQL: a bounded slice in each transaction, with its link in the operators' chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from rco.model.run import RunRow
from rco.store import rows
from rco.store.contract.retaining import BORN_US, Record, Removed, cut_mark
from rco.store.contract.writer import Sealer
from rco.store.postgres.connection import Connection
from rco.store.postgres.dropping import STAYS, drop_runs, drop_weeks, forked
from rco.store.postgres.operate import CHAIN, seal_by_hand, with_connection
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.read_evidence import SPANS, places

__all__ = ["PostgresRetaining"]

_CLOSED = (
    f"SELECT * FROM ({rows.CLOSED_RUNS}) AS c WHERE c.run_id > $1 AND c.run_id < $2 AND NOT ({STAYS})"
    " ORDER BY c.run_id LIMIT $3"
)
_ANSWER_S = 3600.0
"""Counting a week takes long, and holds up nobody."""
_FREE = "received_us < least($1::bigint, (SELECT min(opened_us) FROM run AS r WHERE r.namespace = event.namespace))"
_LETTERS = "replayed_us < $1::bigint"
_OLDEST = "SELECT run_id FROM {} ORDER BY run_id LIMIT 1"
_MOOT = (
    "at_us < $1::bigint AND seq < (SELECT max(seq) FROM revocation) AND ((kind = 'id' AND at_us < $2::bigint)"
    " OR (kind = 'epoch' AND EXISTS (SELECT 1 FROM revocation AS r WHERE r.kind = 'epoch' AND r.name = revocation.name"
    " AND r.epoch > revocation.epoch)))"
)
_ROW_AT = (
    "SELECT EXISTS (SELECT 1 FROM unnest($1::bytea[], $2::integer[]) AS p(r, s)"
    " CROSS JOIN LATERAL (SELECT 1 FROM journal WHERE run_id = p.r AND first_seq = p.s OFFSET 0) AS j)"
)
_CUT_AT = "SELECT n FROM cursor_at WHERE name = $1 FOR UPDATE"
_CUT = "DELETE FROM seal WHERE chain = $1 AND n BETWEEN $2 AND $3"
_MARK = (
    "INSERT INTO cursor_at (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = excluded.n"
    " WHERE cursor_at.n = $3 RETURNING n"
)


class PostgresRetaining:
    """Implements ``rco.store.contract.retaining.Retaining``, each call on a connection of its own."""

    def __init__(self, dsn: str, options: PostgresOptions, sealer: Sealer) -> None:
        self._dsn, self._options, self._sealer = dsn, options, sealer

    async def closed_runs(self, before_us: int, after: bytes, limit: int) -> tuple[list[RunRow], bytes | None]:
        end = (before_us // 1000).to_bytes(6, "big")

        async def work(connection: Connection) -> tuple[list[RunRow], bytes | None]:
            page = [rows.run(tuple(row)) for row in await connection.fetch(_CLOSED, after, end, limit)]
            kept = await forked(connection, page)
            fit = [row for row in page if row.run_id not in kept]
            return fit, page[-1].run_id if len(page) == limit else None

        return await with_connection(self._dsn, self._options, work)

    async def drop_runs(self, run_ids: list[bytes], record: Record) -> Removed:
        return await self._within(lambda connection: drop_runs(connection, run_ids), record)

    async def drop_weeks(self, before_us: int, over: Callable[[RunRow], bool], record: Record) -> list[Removed]:
        patient = msgspec.structs.replace(self._options, answer_timeout_s=_ANSWER_S)

        async def work(connection: Connection) -> list[Removed]:
            return await drop_weeks(connection, self._sealer, before_us, over, record)

        return await with_connection(self._dsn, patient, work)

    async def count_events(self, before_us: int) -> tuple[int, int | None]:
        return await self._count(f"SELECT count(*), min(received_us) FROM event WHERE {_FREE}", before_us)

    async def drop_events(self, before_us: int, limit: int, record: Record) -> Removed:
        sql = f"DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE {_FREE} ORDER BY seq LIMIT $2)"

        async def drop(connection: Connection) -> Removed:
            return Removed(events=_deleted(await connection.execute(sql, before_us, limit)))

        return await self._within(drop, record)

    async def count_letters(self, before_us: int) -> tuple[int, int | None]:
        return await self._count(f"SELECT count(*), min(replayed_us) FROM dead_letter WHERE {_LETTERS}", before_us)

    async def drop_letters(self, before_us: int, limit: int, record: Record) -> Removed:
        sql = (
            "DELETE FROM dead_letter WHERE letter_id IN"
            f" (SELECT letter_id FROM dead_letter WHERE {_LETTERS} ORDER BY letter_id LIMIT $2)"
        )

        async def drop(connection: Connection) -> Removed:
            return Removed(letters=_deleted(await connection.execute(sql, before_us, limit)))

        return await self._within(drop, record)

    @property
    def whole_chains(self) -> frozenset[str]:
        return frozenset((CHAIN,))

    async def may_cut(self, chain: str, first_n: int, last_n: int) -> bool:
        async def work(connection: Connection) -> bool:
            return await _free_links(connection, chain, first_n, last_n)

        return await with_connection(self._dsn, self._options, work)

    async def cut(self, chain: str, first_n: int, last_n: int, record: Record) -> Removed:
        async def drop(connection: Connection) -> Removed:
            # The row is locked until the commit: two who cut the same chain do so one after the other.
            at = await connection.fetchval(_CUT_AT, cut_mark(chain)) or 0
            oldest = await connection.fetchval("SELECT min(n) FROM seal WHERE chain = $1", chain)
            if (at, oldest) != (first_n - 1, first_n) or not await _free_links(connection, chain, first_n, last_n):
                return Removed()
            gone = _deleted(await connection.execute(_CUT, chain, first_n, last_n))
            # Where there was no row yet, the other one has written it, and has left nothing to delete.
            if await connection.fetchval(_MARK, cut_mark(chain), last_n, first_n - 1) is None:
                return Removed()
            return Removed(links=gone)

        return await self._within(drop, record)

    async def count_revocations(self, before_us: int) -> tuple[int, int | None]:
        async def work(connection: Connection) -> tuple[int, int | None]:
            sql = f"SELECT count(*), min(at_us) FROM revocation WHERE {_MOOT}"
            row = await connection.fetchrow(sql, before_us, await _born_us(connection))
            return (row[0], row[1]) if row is not None else (0, None)

        return await with_connection(self._dsn, self._options, work)

    async def drop_revocations(self, before_us: int, limit: int, record: Record) -> Removed:
        sql = f"DELETE FROM revocation WHERE seq IN (SELECT seq FROM revocation WHERE {_MOOT} ORDER BY seq LIMIT $3)"

        async def drop(connection: Connection) -> Removed:
            born_us = await _born_us(connection)
            return Removed(revocations=_deleted(await connection.execute(sql, before_us, born_us, limit)))

        return await self._within(drop, record)

    async def _count(self, sql: str, before_us: int) -> tuple[int, int | None]:
        async def work(connection: Connection) -> tuple[int, int | None]:
            row = await connection.fetchrow(sql, before_us)
            return (row[0], row[1]) if row is not None else (0, None)

        return await with_connection(self._dsn, self._options, work)

    async def _within(self, drop: Callable[[Connection], Awaitable[Removed]], record: Record) -> Removed:
        async def work(connection: Connection) -> Removed:
            async with connection.transaction():
                removed = await drop(connection)
                if removed != Removed():
                    await seal_by_hand(connection, self._sealer, record(removed))
                return removed

        return await with_connection(self._dsn, self._options, work)


async def _free_links(connection: Connection, chain: str, first_n: int, last_n: int) -> bool:
    """Whether no journal row of these links is left, and the chain goes on behind them."""
    if await connection.fetchval("SELECT n FROM seal WHERE chain = $1 AND n = $2", chain, last_n + 1) is None:
        return False
    spans = [row[0] for row in await connection.fetch(SPANS, chain, first_n, last_n)]
    return bool(spans) and not await connection.fetchval(_ROW_AT, *places(spans))


async def _born_us(connection: Connection) -> int:
    """Before it a revocation of a capability was made that no run can hold. An identity begins with its run's time."""
    found = [await connection.fetchval(_OLDEST.format(table)) for table in ("run", "closed_run")]
    oldest = min((one for one in found if one is not None), default=b"\xff" * 6)
    return int.from_bytes(oldest[:6], "big") * 1000 - BORN_US


def _deleted(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
