"""The owner's side of schedules: what is due within the window is in memory, and every look ends in one commit.

The store is read once a window, once when shards are taken over, and, where other nodes write too, once every few
seconds for what they have changed: never once a schedule. A commit is refused when the schedule is not what it was
decided on (its revision) or its shard is another node's by now (its lease), and carries the starts that follow from it.
So a tick is started once, whoever thinks that it is its turn.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from rco.engine.engine import Engine
from rco.engine.live import Live
from rco.errors import Misuse, RcoError
from rco.kit.clock import MICROS, Clock
from rco.kit.ids import Ids
from rco.kit.lifecycle import stop_task
from rco.kit.lookout import SLOW_S, Hear, deaf
from rco.kit.zone import ZONE_RULES
from rco.model.run import Mode, shard_of
from rco.model.schedule import Due, Schedule
from rco.scheduler.body import schedule_of
from rco.scheduler.commit import Clear, Commit, Made
from rco.scheduler.decide import BATCH, Verdict, decide
from rco.scheduler.entry import WORK_US, Entry
from rco.scheduler.fetched import Fetched, fetch, is_away
from rco.scheduler.making_room import MakingRoom
from rco.scheduler.options import SchedulerOptions
from rco.scheduler.ticks import Calendars, Ticks
from rco.store.contract.changes import Admitted
from rco.store.contract.ownership import Ownership, Shards
from rco.store.contract.reader import Reader, RunFilter
from rco.store.contract.schedules import ScheduleRow
from rco.store.contract.writer import Writer

__all__ = ["Scheduler"]

_START = (-1, b"")
PAGE = 500
AT_A_TIME = 50
SLICE = 200
"""Looks in one turn of the loop."""
CLOCK_S = 5.0
"""The wall clock is looked at this often: it may be set."""


class Scheduler:
    """Starts what is due on the shards of this node. Lives on the loop that started it.

    ``on_start(lateness_s)`` is called for each start that is committed (``None`` where it waited by policy),
    ``on_passed(reason, count)`` for ticks that are not started, ``on_trouble(name, error)`` when one cannot be started
    now and is tried again.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        reader: Reader,
        ownership: Ownership,
        *,
        clock: Clock,
        ids: Ids,
        options: SchedulerOptions | None = None,
        calendars: Calendars | None = None,
        rules: str = ZONE_RULES,
        clear: Clear | None = None,
        hear: Hear = deaf,
    ) -> None:
        self._engine, self._reader, self._ownership = engine, reader, ownership
        self._clock, self._options = clock, options or SchedulerOptions()
        self._hear, self._poll_s, self._changed = hear, self._options.poll_s, False
        self.calendars: Calendars = calendars or {}
        self.rules = rules
        """Under which due times are worked out. Change it with ``reload``."""
        self._commit = Commit(engine, writer, clock, ids, clear or _holds_nothing)
        self._room = MakingRoom(engine, reader, clock)
        self._entries: dict[bytes, Entry] = {}
        self._runs: dict[bytes, bytes] = {}
        """Runs whose closing a schedule waits for."""
        self._heap: list[tuple[int, bytes]] = []
        self._horizon_us = 0
        self._poke = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._fresh: set[int] = set()
        """Shards that came since the last fill."""
        self.on_start: list[Callable[[float | None], None]] = []
        self.on_passed: list[Callable[[str, int], None]] = []
        self.on_trouble: list[Callable[[str, Exception], None]] = []
        self.reads = 0
        engine.on_closed(self._closed)
        ownership.on_gained(self._gained)
        ownership.on_leaving(self._leaving)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to look. Ticks that came while nobody looked are caught up as their schedules say."""
        if self._hear(self._told):
            self._poll_s = SLOW_S
        self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="rco-scheduler")

    async def stop(self) -> None:
        """Look at nothing more. What was committed goes on wherever its shard is owned. May be called twice."""
        self._stopping = True
        await stop_task(self._loop_task)
        for task in list(self._tasks):
            await stop_task(task)

    def reload(self, calendars: Calendars, rules: str) -> None:
        """Go on with other calendars: due times that were worked out under the old ones are worked out anew."""
        self.calendars, self.rules = calendars, rules
        for entry in list(self._entries.values()):
            entry.ticks = self._ticks(entry.schedule)
            entry.at_us, entry.again = WORK_US, entry.busy
            self._arm(entry)
        self._all_anew()

    @property
    def held(self) -> int:
        """Schedules in memory: those that are due within the window, or wait for a run."""
        return len(self._entries)

    def _told(self) -> None:
        """Another node has made a schedule due at once."""
        self._changed = True
        self._poke.set()

    def wake(self) -> None:
        """Look at the clock: it was set."""
        self._poke.set()

    def place(self, byte: int) -> int:
        """A shard owned here for a new schedule; ``byte`` is random. Raises ``Overloaded`` when there is none yet."""
        return self._ownership.place(byte)

    def owns(self, schedule_id: bytes) -> bool:
        return self._ownership.owns(shard_of(schedule_id))

    def heard(self, row: ScheduleRow) -> None:
        """The row was committed by this node, on whoever's behalf. Its owner goes on from it at once."""
        if not self._stopping and self.owns(row.schedule_id):
            self._adopt(row)
            self._poke.set()

    def forget(self, schedule_id: bytes) -> None:
        """The schedule was removed."""
        self._drop(schedule_id)

    # -- memory ----------------------------------------------------------------------------------------------------

    def _ticks(self, schedule: Schedule) -> Ticks | None:
        try:
            return Ticks(schedule.spec, self.calendars)
        except Misuse as problem:
            for listener in self.on_trouble:
                listener(schedule.name, problem)
            return None

    def _adopt(self, row: ScheduleRow) -> None:
        entry = self._entries.get(row.schedule_id)
        if entry is not None and entry.schedule.revision >= row.revision:
            return
        try:
            schedule = schedule_of(row)
        except msgspec.ValidationError as problem:
            for listener in self.on_trouble:
                listener(row.name, problem)
            return
        if entry is None:
            entry = self._entries[row.schedule_id] = Entry(schedule, self._ticks(schedule), row.rules)
        else:
            if entry.schedule.spec != schedule.spec:
                entry.ticks = self._ticks(schedule)
            entry.adopt(schedule, row.rules)
            entry.again = entry.busy
        if row.rules != self.rules:
            entry.at_us = WORK_US
        self._arm(entry)

    def _arm(self, entry: Entry) -> None:
        """Look at it when its time comes; let go of it when that is far and nothing is awaited."""
        at_us = entry.at_us
        if at_us is not None and (at_us < self._horizon_us or entry.busy or entry.waits):
            heapq.heappush(self._heap, (at_us, entry.schedule.schedule_id))
            if self._heap[0][0] == at_us:
                self._poke.set()
        elif not (entry.busy or entry.waits):
            self._drop(entry.schedule.schedule_id)

    def forget_all(self, namespace: str) -> None:
        """Let go of the schedules of ``namespace``: what they start cannot be read any more."""
        for entry in [entry for entry in self._entries.values() if entry.schedule.namespace == namespace]:
            self._drop(entry.schedule.schedule_id)

    def _drop(self, schedule_id: bytes) -> None:
        entry = self._entries.pop(schedule_id, None)
        if entry is not None:
            for run_id in entry.schedule.state.running:
                self._runs.pop(run_id, None)

    def _gained(self, shards: Shards) -> None:
        self._fresh |= shards
        self._poke.set()

    def _leaving(self, shards: Shards) -> None:
        self._fresh -= shards
        for schedule_id in [one for one, entry in self._entries.items() if entry.shard in shards]:
            self._drop(schedule_id)

    def _all_anew(self) -> None:
        owned = self._ownership.shards()
        self._fresh |= frozenset(range(256)) if owned is None else owned
        self._poke.set()

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        options = self._options
        window_us = round(options.window_s * MICROS)
        self._all_anew()
        last_look_us = 0
        while True:
            self._poke.clear()
            try:
                now_us = self._clock.now_us()
                shards = self._ownership.shards()
                # The horizon is one for all shards: it moves for those that were there, then the fresh ones catch up.
                if self._horizon_us < now_us + window_us // 2:
                    before_us, self._horizon_us = self._horizon_us, now_us + window_us
                    await self._fill((before_us - 1, b"\xff" * 16), self._horizon_us, shards)
                if self._fresh:
                    fresh, self._fresh = frozenset(self._fresh), set()
                    mine = None if shards is None else fresh
                    await self._fill(_START, self._horizon_us, mine)
                    await self._renew(mine)
                over = now_us - last_look_us >= round(self._poll_s * MICROS)
                if shards is not None and (over or self._changed):
                    last_look_us, self._changed = now_us, False
                    await self._fill(_START, WORK_US, shards)
                    await self._look_elsewhere()
                await self._look_all()
            except Exception as problem:  # noqa: BLE001 - the store is away for a moment; what is due stays due
                for listener in self.on_trouble:
                    listener("", problem)
                await asyncio.sleep(1.0)
                self._all_anew()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._poke.wait()

    def _pause_s(self) -> float:
        options = self._options
        longest_s = min(CLOCK_S, options.window_s / 2)
        if self._ownership.shards() is not None:
            longest_s = min(longest_s, self._poll_s)
        if not self._heap:
            return longest_s
        return min(max(0.0, (self._heap[0][0] - self._clock.now_us()) / MICROS), longest_s)

    async def _fill(self, after: tuple[int, bytes], before_us: int, shards: Shards | None) -> None:
        """Take up what is due in a span of time."""
        while True:
            self.reads += 1
            rows = await self._reader.schedules_due(after, before_us, PAGE, shards)
            for first in range(0, len(rows), AT_A_TIME):
                for row in rows[first : first + AT_A_TIME]:
                    if self.owns(row.schedule_id):
                        self._adopt(row)
                # Thousands are taken up for the next window: what is due meanwhile does not wait for them.
                await self._look_all()
            if not rows:
                return
            after = (rows[-1].due_us or 0, rows[-1].schedule_id)

    async def _renew(self, shards: Shards | None) -> None:
        """Work out anew what was worked out under other rules."""
        after = b""
        while True:
            self.reads += 1
            rows = await self._reader.schedules_under_others(self.rules, after, PAGE, shards)
            for row in rows:
                if self.owns(row.schedule_id):
                    self._adopt(row)
            if not rows:
                return
            after = rows[-1].schedule_id
            await self._look_all()

    async def _look_elsewhere(self) -> None:
        """Runs of versions whose shards others own close there, and nobody here is told of it."""
        away: dict[str, list[bytes]] = {}
        for run_id, schedule_id in self._runs.items():
            entry = self._entries.get(schedule_id)
            if entry is not None and not self._ownership.covers(run_id):
                away.setdefault(entry.schedule.namespace, []).append(run_id)
        for namespace, run_ids in away.items():
            for first in range(0, len(run_ids), PAGE):
                page = run_ids[first : first + PAGE]
                self.reads += 1
                where = RunFilter(namespace=namespace, ids=tuple(page), open_only=True, limit=len(page))
                still = {row.run_id for row in await self._reader.runs(where)}
                for run_id in page:
                    if run_id not in still:
                        self._ended(run_id)

    # -- looking ---------------------------------------------------------------------------------------------------

    async def _look_all(self) -> None:
        """Look at everything whose time has come."""
        count = 0
        while self._heap and self._heap[0][0] <= self._clock.now_us():
            at_us, schedule_id = heapq.heappop(self._heap)
            entry = self._entries.get(schedule_id)
            if entry is not None and entry.at_us == at_us:
                self._look(entry)
                count += 1
                if count % SLICE == 0:
                    # So that the store writes what was decided, and the runs begin, while more is decided.
                    await asyncio.sleep(0)

    def _look(self, entry: Entry) -> None:
        if entry.busy:
            entry.again = True
            return
        entry.busy, entry.again, entry.at_us = True, False, None
        unknown = [run for run in entry.schedule.state.running if run not in entry.watched | entry.closed]
        if unknown:
            self._spawn(self._find_out(entry, unknown))
        else:
            self._decide(entry)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _find_out(self, entry: Entry, unknown: list[bytes]) -> None:
        """Whether runs are still open. Watched first and read second: a closing in between is not missed."""
        try:
            for run_id in unknown:
                self._runs[run_id] = entry.schedule.schedule_id
                entry.watched.add(run_id)
                row = await self._reader.run(run_id)
                if row is None or row.mode is Mode.CLOSED:
                    self._over(entry, run_id)
        except RcoError as problem:
            entry.watched.difference_update(unknown)
            self._hold(entry, problem)
            return
        self._decide(entry)

    def _over(self, entry: Entry, run_id: bytes) -> None:
        self._runs.pop(run_id, None)
        entry.watched.discard(run_id)
        entry.closed.add(run_id)

    async def _fetch(self, entry: Entry, fetched: Fetched | None, starts: Sequence[Due]) -> None:
        """Have the input of a schedule here, and what its runs are given kept."""
        schedule = entry.schedule
        try:
            fetched = await fetch(self._engine, schedule, fetched, starts)
        except RcoError as problem:
            self._hold(entry, problem)
            return
        self._decide(entry, fetched)

    def _decide(self, entry: Entry, fetched: Fetched | None = None) -> None:
        """Decide and hand the commit over. The entry is busy until its answer is here."""
        schedule = entry.schedule
        if self._stopping or self._entries.get(schedule.schedule_id) is not entry:
            entry.busy = False
            return
        if entry.ticks is None:
            # Nothing is started by rules that are not known; the calendar's return, or a change, wakes it.
            entry.busy = False
            return
        batch = max(1, min(BATCH, self._engine.room))
        verdict = decide(entry.counted, entry.ticks, self._clock.now_us(), lambda run: run not in entry.closed, batch)
        if fetched is None or fetched.reference != schedule.spec.input:
            fetched = None
        if verdict.starts and is_away(schedule.spec, fetched, verdict.starts):
            # Nothing is decided yet: what is due is decided when its input is here.
            self._spawn(self._fetch(entry, fetched, verdict.starts))
            return
        try:
            made = self._commit.make(entry, entry.ticks, verdict, self.rules, fetched)
        except RcoError as problem:
            self._hold(entry, problem)
            return
        if made is None:
            entry.busy, entry.holds = False, 0
            entry.at_us = verdict.due_us
            self._settled(entry, verdict)
            return
        try:
            self._commit.send(made, partial(self._done, entry, made, verdict), partial(self._lost, entry))
        except RcoError as problem:
            self._hold(entry, problem)

    def _done(self, entry: Entry, made: Made, verdict: Verdict, outcome: Admitted) -> None:
        """The commit's answer, in the commit's own turn."""
        schedule_id = entry.schedule.schedule_id
        entry.busy, entry.holds = False, 0
        current = self._entries.get(schedule_id) is entry
        if outcome.status != "accepted":
            if current:
                self._spawn(self._anew(entry))
            return
        now_us = self._clock.now_us()
        for (_, opening), fire_us in zip(made.starts, made.fires, strict=True):
            run_id = opening.row.run_id
            if run_id in outcome.skipped:
                # This tick was started before.
                entry.closed.add(run_id)
                self._passed("already started", 1)
                continue
            if current and run_id in made.schedule.state.running:
                self._runs[run_id] = schedule_id
                entry.watched.add(run_id)
            self._engine.begin(opening)
            late_s = None if fire_us is None else max(0.0, (now_us - fire_us) / MICROS)
            for listener in self.on_start:
                listener(late_s)
        for passed in verdict.passed:
            self._passed(passed.reason, max(1, passed.count))
        entry.unopened = frozenset(outcome.skipped)
        if made.gone:
            self._drop(schedule_id)
        elif current:
            entry.adopt(made.schedule, made.row.rules)
            entry.at_us = verdict.due_us
            self._settled(entry, verdict)

    def _settled(self, entry: Entry, verdict: Verdict) -> None:
        if verdict.stop is not None:
            self._spawn(self._room.make(entry, verdict.stop))
        starved = entry.closed & set(entry.schedule.state.running)
        ended = bool(verdict.starts) and entry.schedule.spec.delete_when_done and not entry.schedule.state.running
        if verdict.more or entry.again or entry.unopened or (starved and entry.waits) or ended:
            entry.at_us = WORK_US
        self._arm(entry)

    def _passed(self, reason: str, count: int) -> None:
        for listener in self.on_passed:
            listener(reason, count)

    def _lost(self, entry: Entry, _: BaseException) -> None:
        """The commit could not be made. Where the shard is still owned it is loaded anew."""
        entry.busy = False
        if not self._stopping and self._entries.get(entry.schedule.schedule_id) is entry:
            self._spawn(self._anew(entry, pause_s=self._options.again_s))

    async def _anew(self, entry: Entry, pause_s: float = 0.0) -> None:
        """Somebody else changed it: go on from what stands in the store."""
        schedule_id = entry.schedule.schedule_id
        if pause_s:
            await asyncio.sleep(pause_s)
        try:
            row = await self._reader.schedule(schedule_id)
        except RcoError:
            self._all_anew()
            return
        if self._entries.get(schedule_id) is not entry or not self.owns(schedule_id):
            return
        if row is None:
            self._drop(schedule_id)
            return
        if row.revision == entry.schedule.revision:
            entry.at_us = WORK_US
            self._arm(entry)
        else:
            self._adopt(row)

    def _hold(self, entry: Entry, problem: RcoError) -> None:
        """It cannot be done now: no room, no such workflow here. It stays due."""
        entry.busy = False
        if self._entries.get(entry.schedule.schedule_id) is not entry:
            return
        entry.holds += 1
        if entry.holds == 1:
            for listener in self.on_trouble:
                listener(entry.schedule.name, problem)
        pause_s = min(self._options.again_s * 2 ** min(entry.holds - 1, 6), self._options.again_cap_s)
        entry.at_us = self._clock.now_us() + round(pause_s * MICROS)
        # Beyond the horizon or not: who is held stays in memory.
        heapq.heappush(self._heap, (entry.at_us, entry.schedule.schedule_id))

    def _closed(self, live: Live, _outcome: object, _value: object) -> None:
        """A run of this node has closed."""
        self._ended(live.run_id)

    def _ended(self, run_id: bytes) -> None:
        schedule_id = self._runs.pop(run_id, None)
        entry = self._entries.get(schedule_id) if schedule_id is not None else None
        if entry is None:
            return
        self._over(entry, run_id)
        if entry.waits and not self._stopping:
            entry.at_us = WORK_US
            self._arm(entry)


def _holds_nothing(_: Schedule, __: str) -> None:
    """Capabilities are not enforced."""
