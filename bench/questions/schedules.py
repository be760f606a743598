"""A hundred thousand schedules: how late their ticks are started, and what it costs to have them.

Each is due once in a thousand seconds, so a hundred starts are due in every second, all at its beginning. Late is
counted from the tick to the commit of its start. Before the first is due nothing is started: the commits of that time
and the reads of the scheduler are the idle cost; what a node without schedules does as well (heartbeats) is not in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from bench.app import WORKFLOWS
from bench.figure import Asked, Measured, Reach, percentile
from bench.question import BOTH, Question, Round
from rco.kit.clock import MICROS, SystemClock, iso
from rco.kit.ids import Ids
from rco.kit.zone import ZONE_RULES
from rco.measure.rig import Rig
from rco.model.schedule import Schedule, ScheduleSpec, ScheduleState
from rco.scheduler.body import row_of
from rco.scheduler.scheduler import Scheduler
from rco.store.contract.changes import Admission
from rco.store.contract.schedules import ScheduleWrite

__all__ = ["QUESTION"]

PERIOD_S = 1_000
IDLE_S, MEASURED_S = 5.0, 6.0
BATCH, BATCHES_AT_ONCE = 1_000, 4
SLOWER = (1.25, 4.0, 12.0)
"""By so much the rest of them may take longer to put in than the first did; where that was too little, it is begun anew
with the next."""
CALM_S = 60.0


class _TooSlow(Exception):
    """They were not all in when the time without starts was to begin."""


async def _ask(round: Round) -> list[Measured]:
    for slower in SLOWER[:-1]:
        try:
            return await _once(round, slower)
        except _TooSlow:
            continue
    return await _once(round, SLOWER[-1])


async def _once(round: Round, slower: float) -> list[Measured]:
    count = round.count(100_000, least=500)
    # A smaller round has as many starts a second: it is shorter, not easier.
    period_s = max(round.count(PERIOD_S), 5)
    idle_s = min(IDLE_S, max(2.0, IDLE_S * round.scale * 10))
    measured_s = min(MEASURED_S, max(3.0, MEASURED_S * round.scale * 10))
    late_s: list[float] = []
    async with round.place() as place, Rig(place, WORKFLOWS) as rig:
        clock = SystemClock()
        scheduler = Scheduler(
            rig.engine,
            rig.keeper.writer,
            rig.keeper.reader,
            rig.keeper.ownership,
            clock=clock,
            ids=Ids(clock),
        )
        scheduler.on_start.append(lambda late: late_s.append(late if late is not None else 0.0))
        # The first tick is so far away that they are all in the store by then, and the idle time is over.
        begin_us = await _fill(rig, clock, count, period_s, idle_s, slower)
        commits = [0]
        rig.keeper.writer.on_flush(lambda _: commits.__setitem__(0, commits[0] + 1))
        await scheduler.start()
        await asyncio.sleep(max(0.0, (begin_us - clock.now_us()) / MICROS - idle_s - 1.0))
        commits[0], reads = 0, scheduler.reads
        await asyncio.sleep(idle_s)
        idle = (commits[0] + scheduler.reads - reads) / idle_s
        await asyncio.sleep(max(0.0, (begin_us - clock.now_us()) / MICROS))
        late_s.clear()
        cpu = rig.meter.cpu_s()
        await asyncio.sleep(measured_s)
        cpu_s, started = rig.meter.cpu_s() - cpu, len(late_s)
        await scheduler.stop()
        async with asyncio.timeout(CALM_S):
            # What was started is to be over: commits under way would be counted in one place and not in the other.
            while rig.engine.stats().open_in_memory or rig.keeper.writer.backlog:
                await asyncio.sleep(0.05)
        settings = await rig.finish(0, started)
    wanted = count / period_s * measured_s
    assert started >= wanted * 0.9, f"{started} ticks were started, {wanted:.0f} were due"
    cost = cpu_s / started * 1000
    settings |= {"schedules": count, "starts a second": count / period_s}
    return [
        Measured(name="schedules-p50", value=percentile(late_s, 50) * 1e3, cpu_s_per_1000=cost, settings=settings),
        Measured(name="schedules-p99", value=percentile(late_s, 99) * 1e3, cpu_s_per_1000=cost, settings=settings),
        Measured(name="schedules-idle", value=idle, cpu_s_per_1000=0.0, settings=settings),
    ]


async def _fill(rig: Rig, clock: SystemClock, count: int, period_s: int, idle_s: float, slower: float) -> int:
    """Put them all in. Returns when the first is due: as soon as all are there and the idle time is over, as far as
    can be foreseen from how long some take that are never due here. Raises ``_TooSlow``."""
    ids = Ids(clock)
    tried = min(count, 4 * BATCH)
    began_us = clock.now_us()
    far_us = began_us + 366 * 86_400 * MICROS
    await _put_all(rig, clock, ids, "never", tried, lambda _: far_us, period_s)
    taking_us = (clock.now_us() - began_us) / tried * count * slower
    begin_us = (clock.now_us() // MICROS + round(idle_s + 3.0 + taking_us / MICROS)) * MICROS
    await _put_all(rig, clock, ids, "s", count, lambda number: begin_us + number % period_s * MICROS, period_s)
    # In the second before they are due they are read already.
    if clock.now_us() >= begin_us - (idle_s + 1.0) * MICROS:
        raise _TooSlow(f"putting {count} schedules in took more than {slower:g} times what the first {tried} foretold")
    return begin_us


async def _put_all(
    rig: Rig, clock: SystemClock, ids: Ids, prefix: str, count: int, due_us: Callable[[int], int], period_s: int
) -> None:
    """Put ``count`` in, some batches under way at once: one is made while another is written."""
    under_way: deque[asyncio.Future[list[Any]]] = deque()
    for first in range(0, count, BATCH):
        waiting: list[asyncio.Future[Any]] = []
        for number in range(first, min(first + BATCH, count)):
            due = due_us(number)
            schedule_id = ids.uuid7()
            schedule_id = schedule_id[:15] + bytes((rig.keeper.ownership.place(schedule_id[15]),))
            schedule = Schedule(
                schedule_id=schedule_id,
                name=f"{prefix}{number}",
                namespace="default",
                spec=ScheduleSpec(workflow="nap", input=0.0, every_s=period_s, start_at=iso(due)),
                state=ScheduleState(decided_us=clock.now_us()),
                revision=1,
                origin="api",
                created_us=clock.now_us(),
                updated_us=clock.now_us(),
                due_us=due,
            )
            waiting.append(_put(rig, ScheduleWrite(row=row_of(schedule, ZONE_RULES), expect=None)))
        under_way.append(asyncio.gather(*waiting))
        await asyncio.sleep(0)
        if len(under_way) >= BATCHES_AT_ONCE:
            await under_way.popleft()
    await asyncio.gather(*under_way)


def _put(rig: Rig, write: ScheduleWrite) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    admission = Admission(done=future.set_result, failed=future.set_exception, schedules=[write])
    rig.keeper.writer.changes(write.row.schedule_id[15]).admissions.append(admission)
    return future


QUESTION = Question(
    asked=(
        Asked(name="schedules-p50", text="100 000 schedules, 100 due a second: start after the tick p50", unit="ms"),
        Asked(name="schedules-p99", text="… p99", unit="ms", reach=Reach(250, at_most=True)),
        Asked(name="schedules-idle", text="… transactions while none is due", unit="/s", reach=Reach(2, at_most=True)),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
