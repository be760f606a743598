"""Dropping closed runs on PostgreSQL: a batch in one statement, and weeks of the journal whole.

A week goes whole when it is over, no run is open in it, and every run that closed in it is due and needed by nobody:
then its table is dropped instead of its rows, and the rows beside it go in pages after that (see ``trim``).
"""

from __future__ import annotations

from collections.abc import Callable

from rco.errors import StoreError
from rco.model.run import RunRow, fork_prefix
from rco.store import rows
from rco.store.contract.retaining import Record, Removed
from rco.store.contract.writer import Sealer
from rco.store.postgres.connection import Connection, state_of
from rco.store.postgres.operate import seal_by_hand
from rco.store.postgres.partitions import bounds_of, weeks_before

__all__ = ["COUNT_IN", "HELD", "LOCK_FOR", "STAYS", "drop_runs", "drop_weeks", "forked"]

STAYS = (
    "EXISTS (SELECT 1 FROM unread AS u WHERE u.run_id = c.run_id)"
    " OR EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = c.parent)"
    " OR c.run_id IN (SELECT parent FROM run WHERE parent IS NOT NULL)"
)
"""Of a closed run ``c``: it must stay, however old it is."""
_FORKED = (
    "EXISTS (SELECT 1 FROM start_key AS k WHERE k.namespace = {0}.namespace AND k.key ~>=~ a.low AND k.key ~<~ a.high"
    " AND k.key LIKE 'fork:%' AND (EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = k.run_id)"
    " OR EXISTS (SELECT 1 FROM closed_run AS f WHERE f.run_id = k.run_id)))"
)
_FORKED_OF = (
    "SELECT a.run_id FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[]) AS a(run_id, namespace, low, high)"
    f" WHERE {_FORKED.format('a')}"
)
_DROP = f"""
WITH going AS MATERIALIZED (
    SELECT c.run_id, c.namespace, c.key FROM closed_run AS c
        JOIN unnest($1::bytea[], $2::text[], $3::text[]) AS a(run_id, low, high) ON a.run_id = c.run_id
        WHERE c.run_id = ANY ($1::bytea[]) AND NOT ({STAYS}) AND NOT {_FORKED.format("c")}
), segments AS (
    DELETE FROM journal WHERE run_id = ANY ($1::bytea[]) AND run_id IN (SELECT run_id FROM going) RETURNING chain, n
), keys AS (
    DELETE FROM start_key AS k USING going AS g
        WHERE k.namespace = g.namespace AND k.key = g.key AND k.run_id = g.run_id
), forks AS (
    DELETE FROM start_key AS k WHERE k.key LIKE 'fork:%' AND k.namespace IN (SELECT namespace FROM going)
        AND k.run_id IN (SELECT run_id FROM going)
), gone AS (
    DELETE FROM closed_run WHERE run_id = ANY ($1::bytea[]) AND run_id IN (SELECT run_id FROM going) RETURNING run_id
)
SELECT '' AS chain, 0::bigint AS count, 0::bigint AS n, array_agg(run_id) AS ids FROM gone
UNION ALL SELECT chain, count(*), max(n), NULL FROM segments GROUP BY chain
ORDER BY chain
"""
_OPEN_IN = "SELECT EXISTS (SELECT 1 FROM run WHERE run_id >= $1 AND run_id < $2)"
_STAYS_IN = f"SELECT EXISTS (SELECT 1 FROM closed_run AS c WHERE c.run_id >= $1 AND c.run_id < $2 AND ({STAYS}))"
_CLOSED_IN = (
    f"SELECT * FROM ({rows.CLOSED_RUNS}) AS c WHERE c.run_id >= $1 AND c.run_id < $2 ORDER BY c.run_id LIMIT {{0}}"
)
COUNT_IN = "SELECT count(*) FROM closed_run WHERE run_id >= $1 AND run_id < $2"
HELD = "SELECT chain, count(*), max(n) FROM {} GROUP BY chain ORDER BY chain"
# Its runs have no journal any more, by which they are known.
_REST = (
    "WITH gone AS (DELETE FROM closed_run WHERE run_id IN (SELECT run_id FROM closed_run WHERE run_id >= $1"
    " AND run_id < $2 ORDER BY run_id LIMIT {0}) RETURNING run_id, namespace, key), keys AS (DELETE FROM start_key AS k"
    " USING gone AS g WHERE k.namespace = g.namespace AND k.key = g.key AND k.run_id = g.run_id), forks AS (DELETE FROM"
    " start_key AS k WHERE k.key LIKE 'fork:%' AND k.namespace IN (SELECT namespace FROM gone)"
    " AND k.run_id IN (SELECT run_id FROM gone)) SELECT count(*) FROM gone"
)
LOCK_FOR = "SET LOCAL lock_timeout = '2s'"
_BRIEFLY = "SET LOCAL lock_timeout = '100ms'"
"""Nobody asked for it now, and who writes waits behind who waits for a lock."""
_NOT_NOW = frozenset(("55P03", "42501"))
"""In use, or another role's: its rows go one batch after the other instead."""
_PAGE = 500


def _prefixes(run_ids: list[bytes]) -> tuple[list[str], list[str]]:
    """Where the keys of their forks begin, and end."""
    low = [fork_prefix(run_id) for run_id in run_ids]
    return low, [one[:-1] + ";" for one in low]


async def forked(connection: Connection, page: list[RunRow]) -> set[bytes]:
    """Those of ``page`` of which a fork is left, open or closed."""
    ids = [row.run_id for row in page]
    found = await connection.fetch(_FORKED_OF, ids, [row.namespace for row in page], *_prefixes(ids))
    return {row[0] for row in found}


async def drop_runs(connection: Connection, run_ids: list[bytes]) -> Removed:
    """Those of ``run_ids`` that are closed and need not stay, with their journals and start keys: one statement."""
    found = await connection.fetch(_DROP, run_ids, *_prefixes(run_ids))
    ids: list[bytes] = found[0][3] or []
    if not ids:
        return Removed()
    held = tuple((row[0], row[1], row[2]) for row in found[1:])
    return Removed(
        runs=len(ids),
        segments=sum(count for _, count, _ in held),
        chains=held,
        from_us=_us(min(ids)),
        until_us=_us(max(ids)) + 1000,
    )


async def drop_weeks(
    connection: Connection, sealer: Sealer, before_us: int, over: Callable[[RunRow], bool], record: Record
) -> list[Removed]:
    """Drop every week whole that ended before ``before_us`` and may go; of the others is read no more than up to the
    first run that is not due. Each is a commit of its own: broken off, a second call goes on."""
    removed: list[Removed] = []
    for name in await weeks_before(connection, before_us):
        if await _is_due(connection, name, over):
            gone = await _drop_week(connection, sealer, name, record)
            if gone is not None:
                removed.append(gone)
    return removed


async def _is_due(connection: Connection, name: str, over: Callable[[RunRow], bool]) -> bool:
    first, end = bounds_of(name)
    if await connection.fetchval(_OPEN_IN, first, end) or await connection.fetchval(_STAYS_IN, first, end):
        return False
    while True:
        found = await connection.fetch(_CLOSED_IN.format(_PAGE), first, end)
        page = [rows.run(tuple(row)) for row in found]
        if not all(over(row) for row in page):
            return False
        if page and any(run_id for run_id in await forked(connection, page)):
            return False
        if len(page) < _PAGE:
            return True
        first = page[-1].run_id + b"\0"


async def _drop_week(connection: Connection, sealer: Sealer, name: str, record: Record) -> Removed | None:
    """The table, with the link that says so in one commit, then the rows beside it in pages. ``None``: it is in use (an
    export, a backup), or was used again, and nothing is dropped."""
    first, end = bounds_of(name)
    # Nobody writes to a week without open runs, so this needs no lock, however long it takes.
    held = tuple((row[0], row[1], row[2]) for row in await connection.fetch(HELD.format(name)))
    removed = Removed(
        runs=await connection.fetchval(COUNT_IN, first, end),
        segments=sum(count for _, count, _ in held),
        chains=held,
        from_us=_us(first),
        until_us=_us(end),
    )
    try:
        async with connection.transaction():
            await connection.execute(_BRIEFLY)
            if removed.runs or removed.segments:
                await seal_by_hand(connection, sealer, record(removed))
            await connection.execute(f"DROP TABLE {name}")
            # A run that was opened with an old identity since the look would have been in it.
            if await connection.fetchval(_OPEN_IN, first, end):
                raise StoreError(f"A run was opened in {name} meanwhile; nothing of it is dropped.")
    except StoreError:
        return None
    except Exception as error:
        if state_of(error) not in _NOT_NOW:
            raise
        return None
    # Broken off, what is left is closed, due and without a journal: it goes with the next batch of rows.
    while await connection.fetchval(_REST.format(_PAGE), first, end):
        pass
    return removed


def _us(bound: bytes) -> int:
    return int.from_bytes(bound[:6], "big") * 1000
