"""What history costs: the same work beside ever more closed runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator

from bench.figure import Reach
from bench.growth.curve import Curve, Growing, Line, Point
from bench.growth.fill import closed_runs, tidy
from bench.service import count_rows
from rco.measure.asks import Rate, durable_steps
from rco.measure.rig import Rig
from rco.measure.scratch import Place

__all__ = ["CURVE"]

_LOOKS, _BLOCK = 400, 50
_RUNS, _STEPS, _PAIRS = 500, 10, 7


async def _ask(growing: Growing) -> AsyncIterator[Point]:
    async with growing.place() as place, growing.place() as empty:
        for size in growing.sizes:
            async with Rig(place) as rig:
                there = await count_rows(place, "closed_run")
                await closed_runs(rig, max(0, size - there - 1))
            await tidy(place)
            there = await count_rows(place, "closed_run")
            start_ms, whole_ms, empty_ms = await _latencies(place, empty, growing.count(_LOOKS // _BLOCK))
            # The middle of several is hardly touched by what others do on the machine.
            rates: list[Rate] = []
            beside: list[Rate] = []
            for _ in range(_PAIRS):
                for where, found in ((place, rates), (empty, beside)):
                    found.append(await durable_steps(where, 100, growing.count(_RUNS, least=20), _STEPS))
            cost = statistics.median(rate.cpu_s_per_1000 for rate in rates)
            ratio = statistics.median(
                one.cpu_s_per_1000 / other.cpu_s_per_1000 for one, other in zip(rates, beside, strict=True)
            )
            settings = {**rates[0].settings, "closed_runs": there, "empty_start_ms": empty_ms}
            for line, value in (
                ("cpu", cost),
                ("cpu-ratio", ratio),
                ("start", start_ms),
                ("start-ratio", start_ms / empty_ms),
                ("one-step", whole_ms),
                ("steps", statistics.median(rate.per_s for rate in rates)),
            ):
                yield Point(line=line, x=size, value=value, cpu_s_per_1000=cost, settings=settings)


async def _latencies(place: Place, empty: Place, blocks: int) -> tuple[float, float, float]:
    """Medians in ms: until a start is durable, until its result is here, and the start beside an empty store, the two
    looked at in turns."""
    starts: list[float] = []
    wholes: list[float] = []
    beside: list[float] = []
    async with Rig(place) as full, Rig(empty) as bare:
        for _ in range(blocks):
            for rig, found in ((full, starts), (bare, beside)):
                for _ in range(_BLOCK):
                    began = time.perf_counter()
                    run_id = await rig.start("steps", 1)
                    found.append((time.perf_counter() - began) * 1e3)
                    await rig.result(run_id)
                    if rig is full:
                        wholes.append((time.perf_counter() - began) * 1e3)
    return statistics.median(starts), statistics.median(wholes), statistics.median(beside)


CURVE = Curve(
    title="Closed runs",
    about=(
        "The store holds so many closed runs of one step, with their journals and evidence, written by the keeper "
        "itself. Beside them the same work is asked for: runs of 10 steps, 100 at a time, and one-step runs one at a "
        "time. PostgreSQL is vacuumed and checkpointed after filling."
    ),
    x="closed runs",
    sizes=(1_000, 10_000, 100_000, 1_000_000),
    lines=(
        Line(name="cpu", text="CPU seconds for 1 000 steps", unit="s"),
        Line(
            name="cpu-ratio",
            text="the same as a multiple of that beside a store of few, asked in turns",
            unit="x",
            bound=Reach(1.1, at_most=True),
        ),
        Line(name="start", text="a start is durable after, p50", unit="ms"),
        Line(
            name="start-ratio",
            text="the same as a multiple of that on an empty store beside it",
            unit="x",
            bound=Reach(1.2, at_most=True),
        ),
        Line(name="one-step", text="start to result of a one-step run, p50", unit="ms"),
        Line(name="steps", text="durable steps, 100 runs at a time", unit="/s"),
    ),
    ask=_ask,
)
