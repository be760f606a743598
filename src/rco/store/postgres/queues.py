"""Reading and writing items of queues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.kit.digest import digest
from rco.model.queue import Item, Place, poke_of, queue_shard
from rco.model.run import RunRow
from rco.store import rows
from rco.store.contract.queues import ItemChange, ItemDone, QueueState
from rco.store.postgres.text import plain_all
from rco.store.queue_changes import NetChanges, item_of

__all__ = [
    "BY_ID",
    "COUNTS",
    "HEADS",
    "KEYS",
    "RUNNING",
    "STATES",
    "columns",
    "fenced",
    "items",
    "order_columns",
    "ordered",
    "pokes",
    "returned_columns",
]

_SLOTS = 1024
_ROWS = f"SELECT {rows.ITEM_COLUMNS} FROM queue_item"
BY_ID = f"{_ROWS} WHERE run_id = $1"
RUNNING = f"{_ROWS} WHERE queue = $1 AND state = 1"
_FIRST = 'SELECT priority, fair_key FROM queue_item WHERE queue = $1 AND state = 0 AND (priority, fair_key COLLATE "C")'
_ORDER = 'ORDER BY priority, fair_key COLLATE "C" LIMIT 1'
# From key to key by the index: not one look at the runs between them.
KEYS = f"""
WITH RECURSIVE found (priority, fair_key) AS (
    ({_FIRST} > ($2, $3) {_ORDER})
    UNION ALL
    SELECT n.priority, n.fair_key FROM found CROSS JOIN LATERAL
        ({_FIRST} > (found.priority, found.fair_key COLLATE "C") {_ORDER}) AS n)
SELECT priority, fair_key FROM found LIMIT $4
"""
HEADS = f"""
SELECT i.* FROM unnest($2::smallint[], $3::text[]) WITH ORDINALITY AS a(priority, key, place)
    CROSS JOIN LATERAL ({_ROWS} WHERE queue = $1 AND queue_item.priority = a.priority
        AND fair_key COLLATE "C" = a.key COLLATE "C" AND state = 0 ORDER BY arrival, run_id LIMIT $4) AS i
    ORDER BY a.place, i.arrival, i.run_id
"""
COUNTS = (
    "SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1),"
    " count(*) FILTER (WHERE state = 2), min(since_us) FILTER (WHERE state = 0) FROM queue_item"
    ' GROUP BY queue ORDER BY queue COLLATE "C"'
)
STATES = 'SELECT queue, paused, at_us, actor, reason FROM queue_state ORDER BY queue COLLATE "C"'


def returned_columns(done: NetChanges) -> tuple[list[Any], ...]:
    """In the order of ``rco_return``."""
    returned = sorted(done.returned.items())
    return [run_id for run_id, _ in returned], [state for _, state in returned]


def ordered(opened: Iterable[RunRow]) -> list[tuple[bytes, Place]]:
    """Those whose turn comes in the order of commits, in the order in which this one puts them in."""
    return [(row.run_id, row.place) for row in opened if row.place is not None and row.place.ordered]


def order_columns(put: list[tuple[bytes, Place]]) -> tuple[list[Any], ...]:
    """In the order of ``rco_order``."""
    return [run_id for run_id, _ in put], [_slot(place) for _, place in put]


def _slot(place: Place) -> int:
    """The lock that commits to one key take one after the other. So many locks a commit needs at most; two keys that
    share one wait for each other, and no more."""
    return int.from_bytes(digest(f"{place.queue}\x00{place.key}".encode(errors="backslashreplace"))[:2]) % _SLOTS


def items(opened: Iterable[RunRow]) -> list[Item]:
    """The items of those that are opened in a queue."""
    return [item_of(row) for row in opened if row.place is not None]


def fenced(changes: Iterable[ItemChange | QueueState]) -> set[int]:
    """Shards of queues that only their owner may give turns in."""
    return {queue_shard(one.queue) for one in changes if isinstance(one, ItemChange) and one.done is ItemDone.GRANT}


def pokes(put: list[Item], changes: Iterable[ItemChange | QueueState]) -> set[bytes]:
    """What owners on other nodes are told by."""
    told = {poke_of(one.queue) for one in put}
    told.update(poke_of(one.queue) for one in changes if isinstance(one, QueueState) or one.done is not ItemDone.GRANT)
    return told


def columns(put: list[Item], done: NetChanges) -> tuple[list[Any], ...]:
    """In the order of ``rco_queues``. By identity: two commits that meet take their locks in one order."""
    granted = sorted(done.granted.items())
    return (
        [one.run_id for one in put],
        [queue_shard(one.queue) for one in put],
        plain_all([one.queue for one in put]),
        plain_all([one.key for one in put]),
        [one.priority for one in put],
        [one.since_us for one in put],
        [run_id for run_id, _ in granted],
        [at_us for _, at_us in granted],
        sorted(done.held),
        sorted(done.freed),
        sorted(done.gone),
        [one.queue for one in done.states],
        [one.paused for one in done.states],
        [one.at_us for one in done.states],
        plain_all([one.actor for one in done.states]),
        plain_all([one.reason for one in done.states]),
    )
