"""Dropping on SQLite: in the writer's own transactions, a bounded slice each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from rco.model.decision import Decision
from rco.model.run import RunRow, fork_prefix
from rco.store import rows
from rco.store.contract.retaining import BORN_US, Record, Removed, cut_mark
from rco.store.sqlite.reader import SqliteReader
from rco.store.sqlite.writer import SqliteWriter

__all__ = ["SqliteRetaining"]

_STAYS = (
    "EXISTS (SELECT 1 FROM unread AS u WHERE u.run_id = c.run_id)"
    " OR EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = c.parent)"
    " OR c.run_id IN (SELECT parent FROM run WHERE parent IS NOT NULL)"
)
_CLOSED = f"SELECT * FROM ({rows.CLOSED_RUNS}) AS c WHERE c.run_id > ? AND c.run_id < ? AND NOT ({_STAYS})"
_FREE = "received_us < min(?1, coalesce((SELECT min(opened_us) FROM run AS r WHERE r.namespace = event.namespace), ?1))"
_LETTERS = "replayed_us < ?1"
# An identity begins with the time of its run.
_OLDEST = "coalesce((SELECT min(run_id) FROM run), x'FF'), coalesce((SELECT min(run_id) FROM closed_run), x'FF')"
_MOOT = (
    "at_us < ?1 AND seq < (SELECT max(seq) FROM revocation) AND ((kind = 'id' AND at_us < ?2) OR (kind = 'epoch' AND"
    " EXISTS (SELECT 1 FROM revocation AS r WHERE r.kind = 'epoch' AND r.name = revocation.name"
    " AND r.epoch > revocation.epoch)))"
)


_SEGMENTS_MAX = 2000
"""After so many a commit takes no further run: others wait for the writer."""


class SqliteRetaining:
    """Implements ``rco.store.contract.retaining.Retaining``."""

    def __init__(self, reader: SqliteReader, writer: SqliteWriter) -> None:
        self._reader, self._writer = reader, writer

    async def closed_runs(self, before_us: int, after: bytes, limit: int) -> tuple[list[RunRow], bytes | None]:
        def read(connection: sqlite3.Connection) -> tuple[list[RunRow], bytes | None]:
            end = (before_us // 1000).to_bytes(6, "big")
            found = connection.execute(f"{_CLOSED} ORDER BY c.run_id LIMIT ?", (after, end, limit))
            page = [rows.run(row) for row in found]
            fit = [row for row in page if not _forked(connection, row)]
            return fit, page[-1].run_id if len(page) == limit else None

        return await self._reader.ask(read)

    async def drop_runs(self, run_ids: list[bytes], record: Record) -> Removed:
        return await self._within(lambda cursor: _drop_runs(cursor, run_ids), record)

    async def drop_weeks(self, before_us: int, over: Callable[[RunRow], bool], record: Record) -> list[Removed]:
        """The journal is in one piece here."""
        del before_us, over, record
        return []

    async def count_events(self, before_us: int) -> tuple[int, int | None]:
        return await self._count(f"SELECT count(*), min(received_us) FROM event WHERE {_FREE}", before_us)

    async def drop_events(self, before_us: int, limit: int, record: Record) -> Removed:
        sql = f"DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE {_FREE} ORDER BY seq LIMIT ?2)"

        def drop(cursor: sqlite3.Cursor) -> Removed:
            return Removed(events=cursor.execute(sql, (before_us, limit)).rowcount)

        return await self._within(drop, record)

    async def count_letters(self, before_us: int) -> tuple[int, int | None]:
        return await self._count(f"SELECT count(*), min(replayed_us) FROM dead_letter WHERE {_LETTERS}", before_us)

    async def drop_letters(self, before_us: int, limit: int, record: Record) -> Removed:
        sql = (
            "DELETE FROM dead_letter WHERE letter_id IN"
            f" (SELECT letter_id FROM dead_letter WHERE {_LETTERS} ORDER BY letter_id LIMIT ?2)"
        )

        def drop(cursor: sqlite3.Cursor) -> Removed:
            return Removed(letters=cursor.execute(sql, (before_us, limit)).rowcount)

        return await self._within(drop, record)

    @property
    def whole_chains(self) -> frozenset[str]:
        # What retention did stands behind what it did it to, in the one chain there is.
        return frozenset()

    async def may_cut(self, chain: str, first_n: int, last_n: int) -> bool:
        del chain
        return await self._reader.ask(lambda connection: _free_links(connection, first_n, last_n))

    async def cut(self, chain: str, first_n: int, last_n: int, record: Record) -> Removed:
        def drop(cursor: sqlite3.Cursor) -> Removed:
            mark = cut_mark(chain)
            at = cursor.execute("SELECT n FROM cursor_at WHERE name = ?", (mark,)).fetchone()
            if (at[0] if at else 0) != first_n - 1 or not _free_links(cursor, first_n, last_n):
                return Removed()
            gone = cursor.execute("DELETE FROM seal WHERE n BETWEEN ? AND ?", (first_n, last_n)).rowcount
            cursor.execute("INSERT OR REPLACE INTO cursor_at (name, n) VALUES (?, ?)", (mark, last_n))
            return Removed(links=gone)

        return await self._within(drop, record)

    async def count_revocations(self, before_us: int) -> tuple[int, int | None]:
        def read(connection: sqlite3.Connection) -> tuple[int, int | None]:
            sql = f"SELECT count(*), min(at_us) FROM revocation WHERE {_MOOT}"
            found: tuple[int, int | None] = connection.execute(sql, (before_us, _born_us(connection))).fetchone()
            return found

        return await self._reader.ask(read)

    async def drop_revocations(self, before_us: int, limit: int, record: Record) -> Removed:
        sql = f"DELETE FROM revocation WHERE seq IN (SELECT seq FROM revocation WHERE {_MOOT} ORDER BY seq LIMIT ?3)"

        def drop(cursor: sqlite3.Cursor) -> Removed:
            return Removed(revocations=cursor.execute(sql, (before_us, _born_us(cursor), limit)).rowcount)

        return await self._within(drop, record)

    async def _count(self, sql: str, before_us: int) -> tuple[int, int | None]:
        found: tuple[int, int | None] = await self._reader.ask(lambda one: one.execute(sql, (before_us,)).fetchone())
        return found

    async def _within(self, drop: Callable[[sqlite3.Cursor], Removed], record: Record) -> Removed:
        told: list[Removed] = []

        def work(cursor: sqlite3.Cursor, decisions: list[Decision]) -> None:
            removed = drop(cursor)
            told.append(removed)
            if removed != Removed():
                decisions.append(record(removed))

        await self._writer.work(work)
        # A transaction that was tried again did its work again: the last one counts.
        return told[-1]


def _free_links(asked: Any, first_n: int, last_n: int) -> bool:
    """Whether no journal row of these links is left, and the chain goes on behind them."""
    if asked.execute("SELECT 1 FROM seal WHERE n = ?", (last_n + 1,)).fetchone() is None:
        return False
    first, end = asked.execute(
        "SELECT min(first_place), max(first_place + length(leaves) / 32) FROM seal WHERE n BETWEEN ? AND ?",
        (first_n, last_n),
    ).fetchone()
    found = asked.execute("SELECT 1 FROM journal WHERE place >= ? AND place < ? LIMIT 1", (first, end))
    return first is not None and found.fetchone() is None


def _born_us(asked: Any) -> int:
    """Before it a revocation of a capability was made that no run can hold."""
    oldest = min(asked.execute(f"SELECT {_OLDEST}").fetchone())
    return int.from_bytes(oldest[:6].ljust(6, b"\xff"), "big") * 1000 - BORN_US


def _forked(connection: Any, row: RunRow) -> bool:
    prefix = fork_prefix(row.run_id)
    found = connection.execute(
        "SELECT 1 FROM start_key AS k WHERE k.namespace = ? AND k.key >= ? AND k.key < ?"
        " AND (EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = k.run_id)"
        " OR EXISTS (SELECT 1 FROM closed_run AS c WHERE c.run_id = k.run_id)) LIMIT 1",
        (row.namespace, prefix, prefix[:-1] + ";"),
    )
    return found.fetchone() is not None


def _drop_runs(cursor: sqlite3.Cursor, run_ids: list[bytes]) -> Removed:
    runs = segments = last_n = 0
    first: bytes | None = None
    last = b""
    for run_id in run_ids:
        if segments >= _SEGMENTS_MAX:
            break
        found = cursor.execute(
            f"SELECT * FROM ({rows.CLOSED_RUNS}) AS c WHERE c.run_id = ? AND NOT ({_STAYS})", (run_id,)
        )
        row = found.fetchone()
        if row is None or _forked(cursor, rows.run(row)):
            continue
        count, n = cursor.execute("SELECT count(*), max(n) FROM journal WHERE run_id = ?", (run_id,)).fetchone()
        cursor.execute("DELETE FROM journal WHERE run_id = ?", (run_id,))
        cursor.execute("DELETE FROM closed_run WHERE run_id = ?", (run_id,))
        known = rows.run(row)
        if known.key is not None:
            cursor.execute(
                "DELETE FROM start_key WHERE namespace = ? AND key = ? AND run_id = ?",
                (known.namespace, known.key, run_id),
            )
        # A fork's own key begins with its origin's identity.
        cursor.execute(
            "DELETE FROM start_key WHERE namespace = ? AND key >= 'fork:' AND key < 'fork;' AND run_id = ?",
            (known.namespace, run_id),
        )
        runs, segments, last_n = runs + 1, segments + count, max(last_n, n or 0)
        first, last = min(first or run_id, run_id), max(last, run_id)
    if not runs or first is None:
        return Removed()
    cursor.execute(
        "INSERT INTO trimmed (chain, last_n) VALUES ('', ?)"
        " ON CONFLICT (chain) DO UPDATE SET last_n = max(last_n, excluded.last_n)",
        (last_n,),
    )
    return Removed(
        runs=runs,
        segments=segments,
        chains=(("", segments, last_n),),
        from_us=int.from_bytes(first[:6], "big") * 1000,
        until_us=(int.from_bytes(last[:6], "big") + 1) * 1000,
    )
