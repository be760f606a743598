"""Retention: weeks of the journal are dropped whole, with the runs that closed in them, and the chain says so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rco.errors import StoreError
from rco.kit.clock import iso
from rco.model.decision import Decision, Verb
from rco.store.contract.writer import Sealer
from rco.store.postgres.connection import Connection, state_of
from rco.store.postgres.dropping import COUNT_IN, HELD, LOCK_FOR
from rco.store.postgres.operate import seal_by_hand, with_connection
from rco.store.postgres.options import PostgresOptions
from rco.store.postgres.partitions import bounds_of, weeks_before

__all__ = ["Week", "trim"]

_OPEN_IN = "SELECT count(*) FROM run WHERE run_id >= $1 AND run_id < $2"
# What a trim that was broken off left behind, too: a run always has a journal, until its week is dropped.
_CLOSED = (
    "DELETE FROM closed_run WHERE run_id IN (SELECT run_id FROM closed_run AS c WHERE run_id < $1"
    " AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.run_id = c.run_id) ORDER BY run_id LIMIT $2)"
)
_REST = (
    "DELETE FROM {0} AS t WHERE run_id < $1 AND NOT EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = t.run_id)"
    " AND NOT EXISTS (SELECT 1 FROM closed_run AS c WHERE c.run_id = t.run_id)"
)
_NODES = (
    "DELETE FROM node AS n WHERE alive_until < now() AND started_us < $1"
    " AND NOT EXISTS (SELECT 1 FROM lease AS l WHERE l.owner = n.name)"
)
_PAGE = 5000
_ANSWER_S = 3600.0


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """One partition that ends before the time that was asked for. ``open`` runs in it keep it whole."""

    name: str
    first: str
    end: str
    """Its bounds, as times."""
    runs: int
    segments: int
    open: int
    dropped: bool


async def trim(
    dsn: str,
    options: PostgresOptions,
    sealer: Sealer,
    *,
    before_us: int,
    actor: str,
    now_us: Callable[[], int],
    dry_run: bool,
) -> list[Week]:
    """Drop every week that ends before ``before_us`` and in which no run is open, oldest first.

    Of each the journal, the closed runs, their start keys and unread signals go; its links stay, and one link of the
    operators' chain says what may be missing now. Each week is one transaction; broken off, a second call goes on.
    Raises ``StoreError`` when a table cannot be locked within 2 s: nodes go on writing, ask again.
    """
    patient = msgspec.structs.replace(options, answer_timeout_s=_ANSWER_S)

    async def work(connection: Connection) -> list[Week]:
        weeks = []
        for name in await weeks_before(connection, before_us):
            week = await _week(connection, name)
            if not week.open and not dry_run:
                week = await _drop(connection, sealer, week, actor, now_us())
            weeks.append(week)
        if not dry_run:
            await _rest(connection, before_us)
        return weeks

    return await with_connection(dsn, patient, work)


async def _week(connection: Connection, name: str) -> Week:
    first, end = bounds_of(name)
    return Week(
        name=name,
        first=_time(first),
        end=_time(end),
        runs=await connection.fetchval(COUNT_IN, first, end),
        segments=await connection.fetchval(f"SELECT count(*) FROM {name}"),
        open=await connection.fetchval(_OPEN_IN, first, end),
        dropped=False,
    )


async def _drop(connection: Connection, sealer: Sealer, week: Week, actor: str, at_us: int) -> Week:
    first, end = bounds_of(week.name)
    # Nobody writes to a week without open runs, so this needs no lock, however long it takes.
    held = [list(row) for row in await connection.fetch(HELD.format(week.name))]
    decision = Decision(
        verb=Verb.TRIM,
        at_us=at_us,
        actor=actor,
        subject=week.name,
        reason="retention",
        facts={
            "from_us": _us(first),
            "until_us": _us(end),
            "runs": week.runs,
            "segments": week.segments,
            "chains": msgspec.json.encode(held).decode(),
        },
    )
    try:
        async with connection.transaction():
            await connection.execute(LOCK_FOR)
            await seal_by_hand(connection, sealer, decision)
            await connection.execute(f"DROP TABLE {week.name}")
            # A run that was opened with an old identity since the look would have been in it.
            if await connection.fetchval(_OPEN_IN, first, end):
                raise StoreError(f"A run was opened in {week.name} meanwhile; nothing of it is dropped.")
    except Exception as error:
        if state_of(error) != "55P03":
            raise
        raise StoreError(
            f"{week.name} could not be dropped within 2 s: the journal is in use (an export, a backup).",
            cure="Ask again when that has ended.",
        ) from error
    return msgspec.structs.replace(week, dropped=True)


async def _rest(connection: Connection, before_us: int) -> None:
    end = (before_us // 1000).to_bytes(6, "big")
    while await connection.execute(_CLOSED, end, _PAGE) != "DELETE 0":
        pass
    for table in ("start_key", "unread"):
        await connection.execute(_REST.format(table), end)
    await connection.execute(_NODES, before_us)


def _us(bound: bytes) -> int:
    return int.from_bytes(bound, "big") * 1000


def _time(bound: bytes) -> str:
    return iso(_us(bound))[:10]
