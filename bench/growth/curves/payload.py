"""What large results cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from bench.growth.curve import Curve, Growing, Line, Point
from bench.growth.workflows import GROWING
from rco.engine.options import EngineOptions
from rco.measure.rig import Rig, side_by_side

__all__ = ["CURVE"]

_STEPS = 5
_RUNS = {102: 1_000, 1_024: 1_000, 102_400: 100, 5 << 20: 8}
_LIMIT_BYTES = 8 << 20


async def _ask(growing: Growing) -> AsyncIterator[Point]:
    options = EngineOptions(value_limit_bytes=_LIMIT_BYTES)
    for size in growing.sizes:
        runs = growing.count(_RUNS[size], least=2)
        at_a_time = min(runs, 20)
        async with growing.place() as place, Rig(place, GROWING, options=options) as rig:
            one = partial(rig.run, "heavy", {"count": _STEPS, "size_bytes": size})
            await side_by_side(max(1, runs // 10), at_a_time, one, rig.meter)
            written = rig.meter.written_bytes()
            took_s, cpu_s = await side_by_side(runs, at_a_time, one, rig.meter)
            written = rig.meter.written_bytes() - written
        count = runs * _STEPS
        cost = cpu_s / count * 1000
        settings = {"runs": runs, "at_a_time": at_a_time, "value_limit_bytes": _LIMIT_BYTES}
        for line, value in (
            ("cpu", cost),
            ("steps", count / took_s),
            ("written", written / count / size),
        ):
            yield Point(line=line, x=size, value=value, cpu_s_per_1000=cost, settings=settings)


CURVE = Curve(
    title="Size of results",
    about=(
        "Runs of five steps, up to 20 at a time, whose results have so many bytes. The limit on a result is raised to "
        "8 MiB for this; by default it is 1 MiB."
    ),
    x="bytes of a step's result",
    sizes=tuple(_RUNS),
    lines=(
        Line(name="cpu", text="CPU seconds for 1 000 steps", unit="s"),
        Line(name="steps", text="durable steps", unit="/s"),
        Line(name="written", text="bytes written to files for a byte of result", unit="x"),
    ),
    ask=_ask,
)
