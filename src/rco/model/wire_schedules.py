"""Bodies of the control API that speak of schedules."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from rco.model.body import Ask, View
from rco.model.schedule import Overlap, ScheduleSpec

__all__ = [
    "BackfillAsk",
    "CreateSchedule",
    "FireTime",
    "FireTimes",
    "PauseAsk",
    "RecentRun",
    "ScheduleBrief",
    "SchedulePage",
    "ScheduleStatus",
    "ScheduleView",
    "TriggerAsk",
    "Triggered",
]

ScheduleName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
ScheduleStatus = Literal["active", "paused", "done"]
"""``done``: no tick will come any more."""
Note = Annotated[str, Meta(max_length=1000)]


class CreateSchedule(Ask, frozen=True, kw_only=True):
    """A new schedule. Its name is its own in the namespace."""

    name: ScheduleName
    spec: ScheduleSpec
    paused: bool = False
    note: Note = ""


class PauseAsk(Ask, frozen=True, kw_only=True):
    """Pause or resume, with a note for whoever looks at the schedule next."""

    note: Note = ""


class TriggerAsk(Ask, frozen=True, kw_only=True):
    """Start a run now, beside those that are open unless ``overlap`` says otherwise."""

    overlap: Overlap = "allow"


class BackfillAsk(Ask, frozen=True, kw_only=True):
    """Start what has no run yet of the ticks after ``after`` and up to ``until`` (RFC 3339), one after the other unless
    ``overlap`` says otherwise."""

    after: Annotated[str, Meta(max_length=64)]
    until: Annotated[str, Meta(max_length=64)]
    overlap: Overlap = "buffer_all"


class Triggered(View, frozen=True, kw_only=True):
    """The run that will stand for the trigger, unless its overlap policy passes it over."""

    run_id: str


class FireTime(View, frozen=True, kw_only=True):
    """One tick: its instant, what a clock in the schedule's zone shows at it, and when it is started (with jitter)."""

    tick: str
    local: str
    start: str


class FireTimes(View, frozen=True, kw_only=True):
    """Ticks in order. ``zone_rules``: the version of the time zone rules they were worked out under."""

    items: list[FireTime]
    zone_rules: str


class RecentRun(View, frozen=True, kw_only=True):
    """A start that was made."""

    tick: str
    started_at: str
    run_id: str
    kind: str


class ScheduleBrief(View, frozen=True, kw_only=True):
    """One schedule in a list."""

    id: str
    name: str
    workflow: str
    when: str
    zone: str
    status: ScheduleStatus
    origin: str
    next_at: str | None
    started: int
    skipped: int
    missed: int
    note: str = ""


class SchedulePage(View, frozen=True, kw_only=True):
    """Schedules by name. ``next`` is the ``after`` of the following page, or null on the last."""

    items: list[ScheduleBrief]
    next: str | None = None


class ScheduleView(ScheduleBrief, frozen=True, kw_only=True):
    """One schedule, whole."""

    spec: ScheduleSpec
    created_at: str
    updated_at: str
    revision: int
    running: list[str] = []
    """Open runs, as its owner knows them; not kept where overlaps are allowed."""
    waiting: list[str] = []
    """Ticks that wait for them."""
    backfills: list[dict[str, Any]] = []
    recent: list[RecentRun] = []
    problem: str = ""
    """Why nothing is started, when that is so."""
