"""Queues as a keeper sees them: an item for each run from its start to its close, and whether a queue is paused.

An item is put in with its run, by whoever opens the run (``RunRow.place``); it goes with the run's close. In between
only the lease owner of the queue's shard gives it its turn, and that change is fenced by the shard.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

import msgspec

from rco.model.queue import Item

__all__ = ["Counted", "ItemChange", "ItemDone", "QueueReader", "QueueState"]


class ItemDone(IntEnum):
    """What happens to an item."""

    GRANT = 0
    """Its turn has come, whatever it was before. By the owner of the queue's shard only."""
    HOLD = 1
    """It is passed over while it waits. Of one that runs nothing changes."""
    FREE = 2
    """It waits again, in its old place, if it was held."""
    GONE = 3
    """Its run closes."""
    RETURN = 4
    """Its turn came where nobody could begin it: its permit is free again, and it is held. Of one that has no permit
    nothing changes."""


class ItemChange(msgspec.Struct, frozen=True, gc=False):
    """One change to one item; of an item that is not there nothing changes. Where several come for one run in a commit,
    ``GONE`` wins over ``GRANT``, and that over the last of the others; before a ``RETURN`` nothing
    of them counts, and what follows it is done to an item that is held."""

    run_id: bytes
    queue: str
    done: ItemDone
    at_us: int = 0


class QueueState(msgspec.Struct, frozen=True):
    """Whether a queue is paused, and who said so last. As a change it replaces what was there."""

    queue: str
    paused: bool
    at_us: int
    actor: str = ""
    reason: str = ""


class Counted(msgspec.Struct, frozen=True):
    """How a queue stands. ``oldest_us`` is since when the run that waits longest waits."""

    queue: str
    waiting: int
    running: int
    held: int
    oldest_us: int | None


class QueueReader(Protocol):
    async def queue_keys(self, queue: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, str]]:
        """(level, fairness key) of which runs wait, in this order, greater than ``after``; each once, found without
        looking at every run."""
        ...

    async def queue_heads(self, queue: str, keys: list[tuple[int, str]], limit: int) -> list[Item]:
        """The first ``limit`` waiting items of each of ``keys``, in their order."""
        ...

    async def queue_running(self, queue: str) -> list[Item]:
        """Every item that holds a permit."""
        ...

    async def queue_item(self, run_id: bytes) -> Item | None: ...

    async def queue_counts(self) -> list[Counted]:
        """By queue, those that have an item. A look at each item."""
        ...

    async def queue_states(self) -> list[QueueState]: ...
