"""What the changes to queues of one commit come to: each run once, with what counts in the end."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rco.model.queue import Item, ItemState
from rco.model.run import RunRow
from rco.store.contract.queues import ItemChange, ItemDone, QueueState

__all__ = ["NetChanges", "item_of", "net"]


class NetChanges(msgspec.Struct, frozen=True):
    """By what happens to them: items granted (with the time), returned (with the ``ItemState`` they are in then), held,
    freed, gone; states of queues. No item is in two of the first four."""

    granted: dict[bytes, int]
    returned: dict[bytes, int]
    held: list[bytes]
    freed: list[bytes]
    gone: list[bytes]
    states: list[QueueState]


def item_of(row: RunRow, arrival: int = 0) -> Item:
    """The item of a run that is opened in a queue."""
    place = row.place
    assert place is not None
    return Item(row.run_id, place.queue, place.key, place.priority, ItemState.WAITING, row.opened_us, None, arrival)


def net(changes: Iterable[ItemChange | QueueState]) -> NetChanges:
    """See ``ItemChange`` for what wins."""
    granted: dict[bytes, int] = {}
    returned: dict[bytes, int] = {}
    last: dict[bytes, ItemDone] = {}
    gone: dict[bytes, None] = {}
    states: dict[str, QueueState] = {}
    for one in changes:
        if isinstance(one, QueueState):
            states[one.queue] = one
        elif one.done is ItemDone.GRANT:
            granted[one.run_id] = one.at_us
        elif one.done is ItemDone.GONE:
            gone[one.run_id] = None
        elif one.done is ItemDone.RETURN:
            returned[one.run_id] = ItemState.HELD
            last.pop(one.run_id, None)
        elif one.run_id in returned:
            returned[one.run_id] = ItemState.HELD if one.done is ItemDone.HOLD else ItemState.WAITING
        else:
            last[one.run_id] = one.done
    return NetChanges(
        {run_id: at_us for run_id, at_us in granted.items() if run_id not in gone},
        {run_id: state for run_id, state in returned.items() if run_id not in gone and run_id not in granted},
        [run_id for run_id, done in last.items() if done is ItemDone.HOLD],
        [run_id for run_id, done in last.items() if done is ItemDone.FREE],
        list(gone),
        list(states.values()),
    )
