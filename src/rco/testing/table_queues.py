"""What changes to queues mean, in plain dictionaries."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rco.model.queue import Item, ItemState, poke_of, queue_shard
from rco.model.run import RunRow
from rco.store.contract.queues import Counted, ItemChange, ItemDone, QueueState

__all__ = ["change_queues", "counted", "granting_shards", "heads", "keys", "put_items", "returning"]

_BEFORE = {ItemDone.HOLD: ItemState.WAITING, ItemDone.FREE: ItemState.HELD}
_AFTER = {ItemDone.HOLD: ItemState.HELD, ItemDone.FREE: ItemState.WAITING}


def put_items(items: dict[bytes, Item], opened: Iterable[RunRow], arrivals: int) -> tuple[set[bytes], int]:
    """Put in the items of runs that are opened in a queue. ``arrivals``: places that were given before. Returns whom to
    tell, and how many places were given by now."""
    told: set[bytes] = set()
    for row in opened:
        if row.place is not None:
            queue, key, priority = row.place.queue, row.place.key, row.place.priority
            arrivals += row.place.ordered
            arrival = arrivals if row.place.ordered else 0
            items[row.run_id] = Item(row.run_id, queue, key, priority, ItemState.WAITING, row.opened_us, None, arrival)
            told.add(poke_of(queue))
    return told, arrivals


def change_queues(
    items: dict[bytes, Item], states: dict[str, QueueState], changes: list[ItemChange | QueueState]
) -> set[bytes]:
    """Do ``changes``: returns first, then holding and freeing, grants, and who is gone. Returns whom to tell."""
    told: set[bytes] = set()
    last: dict[bytes, ItemChange] = {}
    for one in changes:
        if isinstance(one, QueueState):
            states[one.queue] = one
        elif one.done in _BEFORE:
            last[one.run_id] = one
        elif one.done is ItemDone.RETURN:
            last.pop(one.run_id, None)
        if isinstance(one, QueueState) or one.done is not ItemDone.GRANT:
            told.add(poke_of(one.queue))
    for run_id in returning(items, changes):
        items[run_id] = msgspec.structs.replace(items[run_id], state=ItemState.HELD, granted_us=None)
    for one in last.values():
        item = items.get(one.run_id)
        if item is not None and item.state == _BEFORE[one.done]:
            items[one.run_id] = msgspec.structs.replace(item, state=_AFTER[one.done])
    mine = [one for one in changes if isinstance(one, ItemChange)]
    for one in mine:
        item = items.get(one.run_id)
        if one.done is ItemDone.GRANT and item is not None:
            items[one.run_id] = msgspec.structs.replace(item, state=ItemState.RUNNING, granted_us=one.at_us)
    for one in mine:
        if one.done is ItemDone.GONE:
            items.pop(one.run_id, None)
    return told


def returning(items: dict[bytes, Item], changes: list[ItemChange | QueueState]) -> set[bytes]:
    """Runs whose permits ``changes`` take back."""
    asked = {one.run_id for one in changes if isinstance(one, ItemChange) and one.done is ItemDone.RETURN}
    return {run_id for run_id in asked if run_id in items and items[run_id].state == ItemState.RUNNING}


def granting_shards(changes: list[ItemChange | QueueState]) -> set[int]:
    """Shards of queues in which turns are given."""
    return {queue_shard(one.queue) for one in changes if isinstance(one, ItemChange) and one.done is ItemDone.GRANT}


def _waiting(items: dict[bytes, Item], queue: str) -> list[Item]:
    return [one for one in items.values() if one.queue == queue and one.state == ItemState.WAITING]


def keys(items: dict[bytes, Item], queue: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, str]]:
    found = {(one.priority, one.key) for one in _waiting(items, queue)}
    # In bytes, as databases compare; for UTF-8 that is the order of code points.
    return [one for one in sorted(found) if after is None or one > after][:limit]


def heads(items: dict[bytes, Item], queue: str, keys: list[tuple[int, str]], limit: int) -> list[Item]:
    waiting = sorted(_waiting(items, queue), key=lambda one: (one.arrival, one.run_id))
    return [item for asked in keys for item in [one for one in waiting if (one.priority, one.key) == asked][:limit]]


def counted(items: dict[bytes, Item]) -> list[Counted]:
    found: list[Counted] = []
    for queue in sorted({one.queue for one in items.values()}):
        states = [one.state for one in items.values() if one.queue == queue]
        since = [one.since_us for one in _waiting(items, queue)]
        found.append(
            Counted(
                queue,
                states.count(ItemState.WAITING),
                states.count(ItemState.RUNNING),
                states.count(ItemState.HELD),
                min(since, default=None),
            )
        )
    return found
