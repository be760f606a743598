"""The questions that are asked of a deployment and of this project's machine alike."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import msgspec

from rco.kit import memory
from rco.measure.limits import ROW_BYTES, open_bare
from rco.measure.rig import Rig, durability, side_by_side
from rco.measure.scratch import Place
from rco.measure.usage import Meter

__all__ = ["Rate", "Waits", "bare_rows", "durable_steps", "one_step_runs"]

_WARM = 20


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How many a second, and what a thousand of them cost."""

    per_s: float
    cpu_s_per_1000: float
    cores: float
    """CPU seconds in a second of it: where this nears the number of cores, they are what binds."""
    node_cores: float
    """The same of this process alone: a node runs Python on one core."""
    settings: dict[str, Any]
    written_bytes_per_1000: float = 0.0


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How long each took, in milliseconds."""

    took_ms: list[float]
    cpu_s_per_1000: float
    settings: dict[str, Any]


async def bare_rows(place: Place, at_a_time: int, count: int) -> Rate:
    """Rows by bare group commit with ``at_a_time`` producers."""
    memory.settle()
    bare = await open_bare(place)
    node = time.process_time()
    took_s, cpu_s = await side_by_side(count, at_a_time, bare.row, Meter(place.server_pid))
    node = time.process_time() - node
    stored = await bare.close()
    assert stored == count, f"{stored} rows are there, {count} were written"
    return Rate(
        per_s=count / took_s,
        cpu_s_per_1000=cpu_s / count * 1000,
        cores=cpu_s / took_s,
        node_cores=node / took_s,
        settings={**durability(place), "row_bytes": ROW_BYTES, "producers": at_a_time},
    )


async def durable_steps(place: Place, at_a_time: int, runs: int, steps: int) -> Rate:
    """Durable steps of ``runs`` runs of ``steps`` steps each, ``at_a_time`` runs at a time, warmed up before."""
    warm = min(runs, at_a_time)
    async with Rig(place) as rig:
        one = partial(rig.run, "steps", steps)
        await side_by_side(warm, at_a_time, one, rig.meter)
        before = rig.meter.written_bytes()
        node = time.process_time()
        took_s, cpu_s = await side_by_side(runs, at_a_time, one, rig.meter)
        node = time.process_time() - node
        written = rig.meter.written_bytes() - before
        settings = await rig.finish((runs + warm) * steps, runs + warm)
    count = runs * steps
    return Rate(
        per_s=count / took_s,
        cpu_s_per_1000=cpu_s / count * 1000,
        cores=cpu_s / took_s,
        node_cores=node / took_s,
        settings=settings | {"at_a_time": at_a_time, "steps_per_run": steps},
        written_bytes_per_1000=written / count * 1000,
    )


async def one_step_runs(place: Place, count: int) -> Waits:
    """From start to result of ``count`` runs of one step, one at a time, warmed up before."""
    took_ms: list[float] = []
    async with Rig(place) as rig:
        for _ in range(_WARM):
            await rig.run("steps", 1)
        cpu = rig.meter.cpu_s()
        for _ in range(count):
            began = time.perf_counter()
            await rig.run("steps", 1)
            took_ms.append((time.perf_counter() - began) * 1e3)
        cpu_s = rig.meter.cpu_s() - cpu
        settings = await rig.finish(count + _WARM, count + _WARM)
    return Waits(took_ms=took_ms, cpu_s_per_1000=cpu_s / count * 1000, settings=settings)
