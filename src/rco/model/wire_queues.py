"""Bodies of the control API that speak of queues."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from rco.model.body import Ask, View

__all__ = ["QueueKey", "QueuePage", "QueueSeat", "QueueView", "SteerQueue"]


class QueueSeat(View, frozen=True, kw_only=True):
    """Where a run waits or waited: its queue, its fairness key, its priority (0 goes first, 9 last)."""

    queue: str
    fair_key: str = ""
    priority: int = 5


class QueueKey(View, frozen=True, kw_only=True):
    """A fairness key of which runs wait, in one priority level. ``waiting``: at least so many."""

    fair_key: str
    priority: int
    waiting: int
    weight: int = 1
    oldest_s: float


class QueueView(View, frozen=True, kw_only=True):
    """A queue: its limits (null: none), and how it stands over all nodes."""

    name: str
    declared: bool = True
    """False: runs wait in it that no configuration of this node knows; they wait until one does."""
    paused: bool = False
    paused_by: str = ""
    reason: str = ""
    concurrency: int | None = None
    per_key_concurrency: int | None = None
    waiting_limit: int | None = None
    ordered: bool = False
    """Whether the runs of a key take their turns in the order of the commits that took them in."""
    waiting: int = 0
    running: int = 0
    """Runs that hold a permit: they have begun, or are about to."""
    held: int = 0
    """Runs that were paused before they began."""
    oldest_s: float | None = None
    """How long the run that waits longest has waited."""
    keys: list[QueueKey] = []
    """Of one queue: the fairness keys of the caller's namespace that wait, in the order of levels and names."""


class QueuePage(View, frozen=True, kw_only=True):
    """Every queue, by name."""

    items: list[QueueView]


class SteerQueue(Ask, frozen=True, kw_only=True):
    """Pause or resume a queue."""

    reason: Annotated[str, Meta(max_length=1000)] = ""
