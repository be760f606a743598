"""What waiting runs cost: the whole service beside ever more parked ones."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from bench.app import WORKFLOWS
from bench.growth.curve import Curve, Growing, Line, Point
from bench.growth.fill import parked_runs, tidy
from bench.service import Service, count_rows
from rco.kit.clock import MICROS, SystemClock
from rco.measure.rig import Rig
from rco.measure.usage import cpu_s, resident_mib

__all__ = ["CURVE"]

_WEEK_US = 7 * 86400 * MICROS


async def _ask(growing: Growing) -> AsyncIterator[Point]:
    async with growing.place() as place:
        for size in growing.sizes:
            there = await count_rows(place, "run")
            async with Rig(place, WORKFLOWS) as rig:
                await parked_runs(rig, size - there, SystemClock().now_us() + _WEEK_US)
            await tidy(place)
            parked = await count_rows(place, "run WHERE mode = 1")
            service = Service(growing.folder / "node", place)
            began = time.perf_counter()
            async with service:
                ready_s, used_s = time.perf_counter() - began, cpu_s(service.pid)
                memory = resident_mib(service.pid)
            settings = {"parked": parked, "cpu_s_to_ready": used_s}
            yield Point(line="memory", x=size, value=memory, settings=settings)
            yield Point(line="ready", x=size, value=ready_s, settings=settings)
            yield Point(line="ready-cpu", x=size, value=used_s, settings=settings)


CURVE = Curve(
    title="Parked runs",
    about=(
        "The store holds so many runs that sleep for a week, written by the keeper itself. `rco serve` is started on "
        "it: its resident memory when it is ready, and how long that took."
    ),
    x="parked runs",
    sizes=(1_000, 10_000, 100_000, 1_000_000),
    lines=(
        Line(name="memory", text="resident memory of the service", unit="MiB"),
        Line(name="ready", text="`rco serve` is ready after", unit="s"),
        Line(name="ready-cpu", text="CPU seconds of the service until it is ready", unit="s"),
    ),
    ask=_ask,
)
