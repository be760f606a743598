"""Many timers that fall due at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bench.app import WORKFLOWS
from bench.figure import percentile
from bench.growth.curve import Curve, Growing, Line, Point
from bench.growth.fill import parked_runs, tidy
from bench.service import count_rows
from rco.kit.clock import MICROS, SystemClock
from rco.measure.rig import Rig

__all__ = ["CURVE"]

_AHEAD_S = 5.0
_FILLED_PER_S = 1_500
"""So slow is filling at the worst: the moment must lie ahead when it is done."""


async def _ask(growing: Growing) -> AsyncIterator[Point]:
    for size in growing.sizes:
        async with growing.place() as place:
            due_us = SystemClock().now_us() + round((_AHEAD_S * 3 + size / _FILLED_PER_S) * MICROS)
            async with Rig(place, WORKFLOWS) as rig:
                await parked_runs(rig, size + 1, due_us)
            await tidy(place)
            late_s: list[float] = []
            async with Rig(place, WORKFLOWS) as rig:
                rig.engine.timers.on_fired.append(late_s.append)
                left_s = (due_us - SystemClock().now_us()) / MICROS
                assert left_s > 0, "filling took too long: the moment has passed"
                await asyncio.sleep(left_s)
                cpu = rig.meter.cpu_s()
                async with asyncio.timeout(900):
                    while await count_rows(place, "closed_run") < size:
                        await asyncio.sleep(0.05)
                cpu_s = rig.meter.cpu_s() - cpu
            assert len(late_s) == size, f"{len(late_s)} timers fired, {size} were set"
            assert min(late_s) >= 0, "a timer fired early"
        cost = cpu_s / size * 1000
        for line, rank in (("p50", 50), ("p99", 99)):
            yield Point(line=line, x=size, value=percentile(late_s, rank), cpu_s_per_1000=cost)
        yield Point(line="cpu", x=size, value=cost, cpu_s_per_1000=cost)


CURVE = Curve(
    title="Timers that are due at once",
    about=(
        "So many parked runs sleep until the same moment: each is read, replayed, woken, and closes. The lateness of a "
        "timer is that of its firing; the last ones wait until those before them are done."
    ),
    x="timers",
    sizes=(1_000, 10_000, 100_000),
    lines=(
        Line(name="p50", text="lateness p50", unit="s"),
        Line(name="p99", text="lateness p99", unit="s"),
        Line(name="cpu", text="CPU seconds for 1 000 timers", unit="s"),
    ),
    ask=_ask,
)
