"""A schedule in its owner's memory."""

from __future__ import annotations

from msgspec.structs import replace

from rco.model.run import shard_of
from rco.model.schedule import Schedule
from rco.scheduler.ticks import Ticks

__all__ = ["WORK_US", "Entry"]

WORK_US = 1
"""``due_us`` of a schedule that waits for a run to close, or has more to do: whoever takes it over looks at it."""


class Entry:
    """``ticks`` is ``None`` where the specification cannot be used any more: a calendar that is gone."""

    __slots__ = (
        "again",
        "at_us",
        "busy",
        "closed",
        "holds",
        "rules",
        "schedule",
        "shard",
        "stopped",
        "ticks",
        "unopened",
        "watched",
    )

    def __init__(self, schedule: Schedule, ticks: Ticks | None, rules: str) -> None:
        self.schedule = schedule
        self.ticks = ticks
        self.rules = rules
        """Those that stand in the store with it."""
        self.shard = shard_of(schedule.schedule_id)
        self.at_us: int | None = schedule.due_us
        """When this node looks at it next."""
        self.busy = False
        """A look or its commit is under way."""
        self.again = False
        """Something came in between."""
        self.holds = 0
        """Looks in a row that could not start what was due."""
        self.watched: set[bytes] = set()
        """Runs of it that were open when this node looked, and whose closing it will hear of."""
        self.closed: set[bytes] = set()
        """Runs of it that were seen to close."""
        self.stopped: set[bytes] = set()
        """Runs that were asked to make room."""

        self.unopened: frozenset[bytes] = frozenset()
        """Counted as started, but their ticks had runs already: to be taken out at the next commit."""

    @property
    def counted(self) -> Schedule:
        """The schedule without what was not opened after all."""
        if not self.unopened:
            return self.schedule
        state = self.schedule.state
        recent = tuple(one for one in state.recent if one.run_id not in self.unopened)
        started = state.started - len(self.unopened)
        return replace(self.schedule, state=replace(state, recent=recent, started=started))

    def adopt(self, schedule: Schedule, rules: str) -> None:
        """Go on from ``schedule``, which stands in the store."""
        self.schedule, self.rules = schedule, rules
        self.at_us = schedule.due_us
        running = set(schedule.state.running)
        self.watched &= running
        self.closed &= running
        self.stopped &= running

    @property
    def waits(self) -> bool:
        """Whether the closing of a run of it would lead to something."""
        state = self.schedule.state
        return bool(state.waiting or state.backfills or self.schedule.spec.delete_when_done)
