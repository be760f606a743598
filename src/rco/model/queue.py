"""A queue: runs wait in it for their turn, and no more of them run at once than its limits say."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from rco.kit.digest import digest

__all__ = [
    "FAIR_KEY_CHARS_MAX",
    "NAME",
    "PRIORITIES",
    "PRIORITY",
    "Item",
    "ItemState",
    "Place",
    "Queue",
    "fair_key_of",
    "poke_of",
    "queue_shard",
]

PRIORITIES = 10
"""Levels 0 to 9. A lower number goes first."""
PRIORITY = 5
"""The level of a run that names none."""
FAIR_KEY_CHARS_MAX = 200
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
"""What a queue may be called."""

Weight = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue as it is declared. ``None`` sets no bound."""

    concurrency: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Runs of it that may have begun and not closed, over all nodes."""
    per_key_concurrency: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The same for one fairness key."""
    waiting_limit: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Runs that may wait; a start beyond it is refused as Overloaded."""
    priority: Annotated[int, msgspec.Meta(ge=0, lt=PRIORITIES)] = PRIORITY
    """The level of a run that names none: 0 to 9, a lower number goes first."""
    weights: dict[str, Weight] = {}
    """How many turns a fairness key has in a round, by key; 1 where it is not named."""
    ordered: bool = False
    """Runs of a fairness key take their turns in the order in which their starts were committed, whichever node took
    them. Without it they go by their identities, which follow the clocks of the nodes."""


class Place(msgspec.Struct, frozen=True):
    """Where a run waits: its queue, its fairness key, its priority level."""

    queue: str
    key: str
    priority: int
    ordered: bool = False
    """Its turn comes in the order of commits (``Queue.ordered``)."""


class ItemState:
    """What a run has of its queue. As text in no table: a number."""

    WAITING = 0
    RUNNING = 1
    """It holds a permit: from the decision that its turn has come until it closes, or the turn goes back."""
    HELD = 2
    """Paused while it waited, or its version is on no node: it keeps its place and is passed over."""


class Item(msgspec.Struct, frozen=True):
    """A run's entry in a queue, from its start to its close. In a level and a key, runs go in the order of ``arrival``
    and, where that is the same, of their identities, which grow with time."""

    run_id: bytes
    queue: str
    key: str
    priority: int
    state: int
    since_us: int
    """When it began to wait."""
    granted_us: int | None = None
    """When its turn came."""
    arrival: int = 0
    """Of an ordered place: given in the commit that put it in, and greater than that of whatever was committed for its
    key before. Who sees one sees all that are smaller and still there. Else 0."""


def queue_shard(queue: str) -> int:
    """The shard that a queue belongs to: whoever leases it decides whose turn it is."""
    return digest(b"queue\x00" + queue.encode())[0]


def poke_of(queue: str) -> bytes:
    """Stands among the identities of woken runs for a queue whose owner, on another node, should look. No run has
    it."""
    return bytes(15) + bytes((queue_shard(queue),))


def fair_key_of(namespace: str, key: str) -> str:
    """Keys of one name in two namespaces are two: one tenant's runs never count as another's."""
    return key if namespace == "default" else f"{namespace}/{key}"
