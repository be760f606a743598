"""What is to be done about a schedule at a moment. Pure: a schedule and the time in, the next state and starts out."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from rco.kit.clock import MICROS
from rco.model.schedule import BUFFER_MAX, Backfill, Due, Overlap, Schedule, ScheduleState
from rco.scheduler.ticks import Ticks

__all__ = ["BATCH", "LATE_US", "Passed", "Verdict", "decide"]

LATE_US = 60 * MICROS
"""A tick that is found later than this came while nobody was there: the catch-up policy speaks. A node that dies is
replaced sooner, so that a take-over by itself loses nothing whatever the policy."""
BATCH = 100
"""Ticks of one schedule that are decided in one commit, and so the most that are started in one."""


class Passed(msgspec.Struct, frozen=True):
    """Ticks that are not started. ``count`` is 0 where there were too many to count."""

    first_us: int
    last_us: int
    reason: str
    count: int = 1


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, all of it in one commit."""

    state: ScheduleState
    """Without the runs of ``starts``."""
    starts: list[Due]
    passed: list[Passed]
    stop: Overlap | None
    """``cancel_other`` or ``terminate_other``: the runs that are open have to make room."""
    due_us: int | None
    """When to look again by the clock."""
    more: bool
    """There is more to decide now."""
    done: bool
    """Nothing will ever come of it by itself any more."""


def decide(
    schedule: Schedule, ticks: Ticks, now_us: int, is_open: Callable[[bytes], bool], batch: int = BATCH
) -> Verdict:
    """The verdict at ``now_us``. ``is_open`` knows each of ``schedule.state.running``; ``batch`` is how many may be
    started, at least 1."""
    state = schedule.state
    line = _Line(schedule, [run for run in state.running if is_open(run)])
    for due in state.asked[:batch]:
        line.place(due)
    passed: list[Passed] = []
    decided_us, due_us, more = state.decided_us, None, False
    if not state.paused:
        decided_us, due_us, more = _tick(schedule, ticks, now_us, line, passed, batch)
    backfills, behind = _fill_back(state, ticks, line, batch)
    line.advance(paused=state.paused)
    missed = sum(one.count for one in passed)
    passed += line.passed
    after = replace(
        state,
        decided_us=decided_us,
        running=tuple(line.running),
        waiting=tuple(line.waiting),
        asked=state.asked[batch:],
        backfills=backfills,
        skipped=state.skipped + len(line.passed),
        missed=state.missed + missed,
    )
    idle = not (line.waiting or line.starts or backfills or line.running)
    return Verdict(
        state=after,
        starts=line.starts,
        passed=passed,
        stop=line.stop(),
        due_us=due_us,
        more=more or behind or len(state.asked) > batch,
        done=idle and due_us is None and not more and not state.paused,
    )


class _Line:
    """Who runs, who starts, who waits."""

    def __init__(self, schedule: Schedule, running: list[bytes]) -> None:
        self._spec = schedule.spec
        self.running = running
        self.waiting = list(schedule.state.waiting)
        self.starts: list[Due] = []
        self.passed: list[Passed] = []

    def _policy(self, due: Due) -> Overlap:
        return due.overlap or self._spec.overlap

    def _busy(self) -> bool:
        return bool(self.running or self.starts or self.waiting)

    def place(self, due: Due) -> None:
        policy = self._policy(due)
        if policy == "allow" or not self._busy():
            self.starts.append(due)
        elif policy == "skip":
            self._pass(due, "overlap")
        elif policy == "buffer_one":
            if self.waiting:
                self._pass(due, "overlap")
            else:
                self.waiting.append(due)
        elif policy == "buffer_all":
            if len(self.waiting) < BUFFER_MAX:
                self.waiting.append(due)
            else:
                self._pass(due, "buffer full")
        else:
            for other in self.waiting:
                self._pass(other, "superseded")
            self.waiting = [due]

    def _pass(self, due: Due, reason: str) -> None:
        self.passed.append(Passed(due.tick_us, due.tick_us, reason))

    def advance(self, *, paused: bool) -> None:
        """Start the first who waits when nobody is in the way. A pause holds ticks, not what people asked for."""
        if self.running or self.starts:
            return
        for at, due in enumerate(self.waiting):
            if not (paused and due.kind == "tick"):
                self.starts.append(self.waiting.pop(at))
                return

    def stop(self) -> Overlap | None:
        """How the open runs are to make room for who waits, when they are."""
        if self.running and self.waiting:
            policy = self._policy(self.waiting[0])
            if policy in ("cancel_other", "terminate_other"):
                return policy
        return None


def _tick(
    schedule: Schedule, ticks: Ticks, now_us: int, line: _Line, passed: list[Passed], batch: int
) -> tuple[int, int | None, bool]:
    """Decide the ticks whose time has come. Returns up to where, when the next one fires, whether more have come."""
    spec, decided_us = schedule.spec, schedule.state.decided_us
    window_us = now_us - round(spec.catch_up_window_s * MICROS)
    missed: list[int] = []
    tick = ticks.after(decided_us)
    for _ in range(BATCH):
        if tick is None or len(line.starts) >= batch:
            break
        fire_us = ticks.fire_us(schedule.schedule_id, tick)
        if fire_us > now_us:
            _missed(missed, passed)
            return decided_us, fire_us, False
        following = ticks.after(tick)
        if fire_us < window_us:
            missed.append(tick)
        elif now_us - fire_us <= LATE_US or _caught_up(schedule, ticks, following, now_us):
            line.place(Due(tick))
        else:
            missed.append(tick)
        decided_us, tick = tick, following
    _missed(missed, passed)
    if tick is None:
        return decided_us, None, False
    fire_us = ticks.fire_us(schedule.schedule_id, tick)
    if len(missed) == BATCH and fire_us < window_us:
        # Nobody counts through a year of seconds: what is left of it before the window is passed over as one.
        passed.append(Passed(tick, window_us, "missed", 0))
        decided_us = window_us - round(spec.jitter_s * MICROS)
    return decided_us, fire_us, fire_us <= now_us


def _caught_up(schedule: Schedule, ticks: Ticks, following: int | None, now_us: int) -> bool:
    """Whether a late tick is started all the same. ``following`` is the one after it."""
    if schedule.spec.catch_up != "latest":
        return schedule.spec.catch_up == "all"
    return following is None or now_us - ticks.fire_us(schedule.schedule_id, following) <= LATE_US


def _missed(missed: list[int], passed: list[Passed]) -> None:
    if missed:
        passed.append(Passed(missed[0], missed[-1], "missed", len(missed)))


def _fill_back(state: ScheduleState, ticks: Ticks, line: _Line, batch: int) -> tuple[tuple[Backfill, ...], bool]:
    """Put ticks of the first backfill in line. Returns what is left of all, and whether to go on at once."""
    if not state.backfills:
        return (), False
    first, *rest = state.backfills
    after_us = first.after_us
    for tick in ticks.between(first.after_us, first.until_us):
        # Those that wait in line are put there one at a time: a line of thousands is not kept twice.
        if len(line.starts) >= batch or (line.waiting and first.overlap != "allow"):
            left = replace(first, after_us=after_us)
            return (left, *rest), not line.waiting
        line.place(Due(tick, "backfill", None, first.overlap, first.actor))
        after_us = tick
    return tuple(rest), bool(rest)
