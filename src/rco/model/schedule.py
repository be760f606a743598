"""A schedule: when to start a workflow, what to do when two starts meet, and where it stands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rco.model.queue import FAIR_KEY_CHARS_MAX, PRIORITIES

__all__ = [
    "AT_MAX",
    "BACKFILLS_MAX",
    "BACKFILL_TICKS_MAX",
    "BUFFER_MAX",
    "DATES_MAX",
    "RECENT_MAX",
    "RUNNING_MAX",
    "TIMINGS_MAX",
    "Backfill",
    "CatchUp",
    "Due",
    "Overlap",
    "Recent",
    "Schedule",
    "ScheduleSpec",
    "ScheduleState",
]

TIMINGS_MAX = 16
AT_MAX = 100
DATES_MAX = 1000
BUFFER_MAX = 1000
BACKFILLS_MAX = 10
BACKFILL_TICKS_MAX = 10_000
RUNNING_MAX = 1000
RECENT_MAX = 10

Overlap = Literal["skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow"]
"""What a tick does while a run of the schedule is open: nothing; wait, one at most; wait, in line; cancel that run and
start when it has closed; the same by force; start beside it."""
CatchUp = Literal["all", "latest", "none"]
"""What becomes of ticks that came while nobody could start them: each is started, the newest alone, none."""


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a schedule was asked to be. ``cron``, ``every_s`` and ``at`` add up; at least one is given.

    ``zone`` is an IANA name: cron expressions, dates and times of ``at`` without an offset are local to it.
    ``skipped`` and ``repeated`` say what becomes of local times that a clock skips (started ``after`` the jump, at its
    instant, or ``skip``) or shows twice (``once``: the first time, or ``twice``). ``auto``, the default: expressions
    whose hour field begins with ``*`` go on as if no clock had changed (``skip``, ``twice``); all others are started
    exactly once a day (``after``, ``once``).
    """

    workflow: Annotated[str, Meta(min_length=1, max_length=200)]
    input: Any = None
    """Of a schedule in the store, where it is too large for the row: the ``Reference`` to it."""
    tick_field: Annotated[str, Meta(max_length=100)] = ""
    """Field of the input, which must then be an object or nothing, that is given the tick's time."""
    cron: list[str] = []
    every_s: Annotated[float, Meta(ge=1, le=366 * 86_400)] | None = None
    """Ticks this far apart, counted from ``start_at`` when it is given, else from the epoch; no clock change moves
    them."""
    at: list[str] = []
    """Single times, RFC 3339; without an offset they are local to ``zone``."""
    zone: Annotated[str, Meta(max_length=64)] = "UTC"
    skipped: Literal["auto", "after", "skip"] = "auto"
    repeated: Literal["auto", "once", "twice"] = "auto"
    start_at: str | None = None
    """No tick before this time."""
    end_at: str | None = None
    """No tick after this time."""
    exclude: list[str] = []
    """Local dates (``2026-12-25``) and names of calendars on which nothing is started."""
    only: list[str] = []
    """When given: the only dates, and calendars with the only dates, on which anything is started."""
    jitter_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    """Each tick is started up to this much later, and before the next one: always the same for one tick."""
    overlap: Overlap = "skip"
    catch_up: CatchUp = "latest"
    catch_up_window_s: Annotated[float, Meta(ge=60, le=366 * 86_400)] = 3600.0
    """Ticks later than this are never started."""
    queue: Annotated[str, Meta(max_length=63)] = ""
    """The queue that its runs wait in; empty: the workflow's own, if it has one."""
    fair_key: Annotated[str, Meta(max_length=FAIR_KEY_CHARS_MAX)] = ""
    priority: Annotated[int, Meta(ge=0, lt=PRIORITIES)] | None = None
    """0 goes first, 9 last; ``None``: the queue's own."""
    delete_when_done: bool = False
    """Remove the schedule when its last tick is behind it and its last run has closed."""


class Due(msgspec.Struct, frozen=True, array_like=True):
    """A start that was asked for and has to wait, or that is about to be made.

    ``kind``: ``tick``, ``backfill`` or ``trigger``. ``run_id`` is set for those who were promised one.
    """

    tick_us: int
    kind: str = "tick"
    run_id: bytes | None = None
    overlap: Overlap | None = None
    """Instead of the schedule's own."""
    actor: str = ""


class Backfill(msgspec.Struct, frozen=True, array_like=True):
    """Ticks after ``after_us`` and up to ``until_us`` are started as if their time had come."""

    after_us: int
    until_us: int
    overlap: Overlap
    actor: str = ""


class Recent(msgspec.Struct, frozen=True, array_like=True):
    """A start that was made."""

    tick_us: int
    started_us: int
    run_id: bytes
    kind: str


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a schedule stands. Changed only together with what follows from the change, in one commit."""

    decided_us: int
    """Every tick up to here was started, put in line or passed over."""
    paused: bool = False
    note: str = ""
    """Why, by whom."""
    running: tuple[bytes, ...] = ()
    """Runs it started that are not known to have closed; none are kept where overlaps are allowed."""
    waiting: tuple[Due, ...] = ()
    """Starts that wait for those runs, in order."""
    asked: tuple[Due, ...] = ()
    """Starts that people asked for and that the schedule's owner has not looked at yet."""
    backfills: tuple[Backfill, ...] = ()
    recent: tuple[Recent, ...] = ()
    """The newest first."""
    started: int = 0
    skipped: int = 0
    """Ticks passed over because of overlap, an exhausted buffer or a pause that ended."""
    missed: int = 0
    """Ticks passed over because they were found too late."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule, whole. ``origin``: ``api``, or ``config`` when a configuration declares it."""

    schedule_id: bytes
    name: str
    namespace: str
    spec: ScheduleSpec
    state: ScheduleState
    revision: int
    """Counts the commits that changed it, from 1."""
    origin: str
    created_us: int
    updated_us: int
    """When its specification was last changed."""
    due_us: int | None = None
    """When it must be looked at next."""
