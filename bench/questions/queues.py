"""A queue with a hundred thousand waiting runs of a thousand fairness keys: how soon a run of a new key has begun.

The backlog is worked off all the time, a hundred runs at once, each of one durable step. Meanwhile runs of keys that
nobody has had before are started, one at a time: the figure is from the asking to the run's first step. The wait for
its turn, the commit of the turn, the reads that load the run and the loop that all the others keep busy are in it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import Any

from bench.figure import Asked, Measured, Reach, percentile
from bench.question import BOTH, Question, Round
from rco.engine.ask import StartAsk
from rco.engine.sending import ignore
from rco.kit.clock import SystemClock
from rco.measure.rig import Rig
from rco.model.queue import Queue
from rco.model.run import shard_of
from rco.queues.dispatcher import Dispatcher
from rco.store.contract.changes import Admission, Admitted
from rco.workflow import Context, workflow

__all__ = ["QUESTION"]

AT_A_TIME, BATCHES_AT_ONCE = 1_000, 4
BETWEEN_S = 0.02
STEP_S = (0.01, 0.09)
"""What each run of the backlog takes, from and to. Were it the same for all, the hundred that one commit lets begin
would end at once as well, and a new key would find no permit free for that long: the figure would be that of the
lockstep."""
PATIENCE_S = 60.0
_began: dict[str, asyncio.Future[float]] = {}


async def _mark(name: str) -> None:
    future = _began.get(name)
    if future is not None and not future.done():
        future.set_result(time.perf_counter())
    elif future is None:
        await asyncio.sleep(random.uniform(*STEP_S))


@workflow
async def work(ctx: Context, name: str) -> None:
    """One step."""
    await ctx.step(_mark, name)


async def _ask(round: Round) -> list[Measured]:
    count, keys, probes = round.count(100_000, 1_000), round.count(1_000, 50), round.count(150, 20)
    waits_s: list[float] = []
    async with round.place() as place, Rig(place, [work]) as rig:
        dispatcher = Dispatcher(
            rig.engine,
            rig.keeper.writer,
            rig.keeper.reader,
            rig.keeper.ownership,
            clock=SystemClock(),
            queues={"q": Queue(concurrency=round.count(100, 10))},
        )
        under_way: deque[asyncio.Future[None]] = deque()
        for first in range(0, count, AT_A_TIME):
            batch = [f"k{number % keys}" for number in range(first, min(first + AT_A_TIME, count))]
            # One is made while another is written.
            under_way.append(asyncio.ensure_future(_wait(rig, batch)))
            if len(under_way) >= BATCHES_AT_ONCE:
                await under_way.popleft()
        await asyncio.gather(*under_way)
        given = [0]
        dispatcher.on_granted.append(lambda *_: given.__setitem__(0, given[0] + 1))
        began_s = time.perf_counter()
        await dispatcher.start()
        async with asyncio.timeout(PATIENCE_S):
            while given[0] < round.count(100, 10):
                await asyncio.sleep(0.01)
        taken_up_s = time.perf_counter() - began_s
        before, since_s, cpu = given[0], time.perf_counter(), rig.meter.cpu_s()
        for number in range(probes):
            waits_s.append(await _probe(rig, f"probe{number}"))
            await asyncio.sleep(BETWEEN_S)
        lasted_s, cpu_s = time.perf_counter() - since_s, rig.meter.cpu_s() - cpu
        turns = given[0] - before
        left = {one.queue: one.waiting for one in await rig.keeper.reader.queue_counts()}.get("q", 0)
        assert left, "the backlog was worked off before the last run of a new key"
        await dispatcher.stop()
        async with asyncio.timeout(PATIENCE_S):
            # What has begun is to be over: it would be counted in one place and not in the other.
            while rig.engine.stats().open_in_memory or rig.engine.stats().loading or rig.keeper.writer.backlog:
                await asyncio.sleep(0.05)
        settings: dict[str, Any] = await rig.finish(rig.engine.stats().steps_ok, given[0])
    settings |= {"waiting": count, "keys": keys, "left": left, "turns a second": round_of(turns / lasted_s)}
    settings |= {"taken up in": f"{taken_up_s:.2f} s"}
    cost = cpu_s / max(1, turns) * 1000
    return [
        Measured(name="queue-p50", value=percentile(waits_s, 50) * 1e3, cpu_s_per_1000=cost, settings=settings),
        Measured(name="queue-p99", value=percentile(waits_s, 99) * 1e3, cpu_s_per_1000=cost, settings=settings),
    ]


def round_of(value: float) -> int:
    return int(value + 0.5)


async def _wait(rig: Rig, keys: list[str]) -> None:
    """One run of each of ``keys`` waits, all of them from one commit."""
    openings = [rig.engine.prepare(StartAsk(workflow="work", input="", queue="q", fair_key=key)) for key in keys]

    def begin(outcome: Admitted) -> None:
        assert outcome.status == "accepted", outcome
        for opening in openings:
            rig.engine.begin(opening)

    admission = Admission(
        done=ignore,
        failed=ignore,
        opened=[(opening.row, opening.segment) for opening in openings],
        accepted=[opening.decision for opening in openings],
    )
    await rig.engine.submit(shard_of(openings[0].row.run_id), admission, begin)


async def _probe(rig: Rig, name: str) -> float:
    """Seconds from asking for a run of a key of its own to its first step."""
    future = _began[name] = asyncio.get_running_loop().create_future()
    asked_s = time.perf_counter()
    await rig.engine.start_run(StartAsk(workflow="work", input=name, queue="q", fair_key=name))
    async with asyncio.timeout(PATIENCE_S):
        return await future - asked_s


QUESTION = Question(
    asked=(
        Asked(name="queue-p50", text="100 000 runs of 1 000 keys wait: a new key's one run begun p50", unit="ms"),
        Asked(name="queue-p99", text="… p99", unit="ms", reach=Reach(50, at_most=True)),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
