"""What a long run costs when it comes back: replay by the number of its steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from bench.growth.curve import Curve, Growing, Line, Point
from bench.growth.workflows import GROWING
from rco.kit.clock import SystemClock
from rco.measure.rig import Rig
from rco.measure.scratch import Place
from rco.model.decision import Decision, Verb

__all__ = ["CURVE"]

_TIMES = 3


async def _ask(growing: Growing) -> AsyncIterator[Point]:
    for size in growing.sizes:
        async with growing.place() as place:
            async with Rig(place, GROWING) as rig:
                run_id = await rig.start("long", size)
                async with asyncio.timeout(900):
                    while rig.engine.stats().steps_ok < size:
                        await asyncio.sleep(0.02)
            took_s, cpu_s = [], []
            for _ in range(_TIMES - 1):
                # Stopped in between without an answer: what is replayed stays the same.
                took, cpu = await _back(place, None, run_id)
                took_s.append(took)
                cpu_s.append(cpu)
            took, cpu = await _back(place, size, run_id)
        took_s.append(took)
        cpu_s.append(cpu)
        yield Point(
            line="replay",
            x=size,
            value=sorted(took_s)[_TIMES // 2],
            cpu_s_per_1000=sorted(cpu_s)[_TIMES // 2] / size * 1000,
            settings={"times": _TIMES},
        )


async def _back(place: Place, value: int | None, run_id: bytes) -> tuple[float, float]:
    """Wall and CPU seconds that starting the engine takes, which loads and replays its only open run. With a
    ``value`` the run is let go on, and must give it."""
    rig = Rig(place, GROWING)
    cpu, began = rig.meter.cpu_s(), time.perf_counter()
    async with rig:
        while rig.engine.stats().replayed + rig.engine.stats().open_in_memory == 0:
            await asyncio.sleep(0.001)
        took_s, cpu_s = time.perf_counter() - began, rig.meter.cpu_s() - cpu
        if value is not None:
            decision = Decision(verb=Verb.SIGNAL, at_us=SystemClock().now_us())
            await rig.engine.signal(run_id, "go", value, "go", decision)
            given = await rig.result(run_id)
            assert given == value, given
    return took_s, cpu_s


CURVE = Curve(
    title="Length of a run",
    about=(
        "A run makes so many steps, a hundred side by side, and waits for a signal. The node is stopped and started: "
        "the time is that of starting keeper and engine, which reads the journal and replays it. (A run of few steps "
        "shows what starting costs without replay.) At the end the run is let go on and must give its result."
    ),
    x="steps of the run",
    sizes=(10, 1_000, 100_000),
    lines=(Line(name="replay", text="started and replayed after", unit="s"),),
    ask=_ask,
)
