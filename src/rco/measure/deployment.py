"""The figures of somebody's own deployment, in under half a minute: their disk, their database, their machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.measure.asks import Rate, bare_rows, durable_steps, one_step_runs
from rco.measure.limits import flushes_per_s, round_trip_ms
from rco.measure.machine import cores, file_system, load
from rco.measure.scratch import Place, scratch
from rco.measure.usage import percentile

__all__ = ["Figure", "Seen", "look"]

_PROBE, _FLUSHES, _ROUND_TRIPS = 20, 300, 100
_AT_A_TIME, _STEPS = 100, 10
_PART_S = 2.0
"""So long each part is to take; on a slow database less is asked for."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value."""

    question: str
    text: str
    store: str
    value: float
    unit: str
    cpu_s_per_1000: float | None = None
    settings: dict[str, Any] = {}


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, in the units that a verdict is made of."""

    store: str
    kind: str
    """Where was measured: in a ``file``, ``database`` or ``schema`` of its own, called ``name``."""
    name: str
    cores: int
    load_before: float
    load_after: float
    file_system: str
    """Of SQLite; empty where the disk is behind a server."""
    server_here: bool
    """Whether the server's CPU could be counted."""
    commit_ms: float
    round_trip_ms: float
    one_step_ms: float
    one_step_cpu_ms: float
    steps: Rate
    bare_per_s: float
    runs_per_s: float
    flushes_per_s: float
    figures: list[Figure]


async def look(where: str, tell: Callable[[str], None]) -> Seen:
    """Measure beside ``where`` (see ``scratch``). ``tell`` hears what is done, part by part.

    Raises ``StoreError`` when there is no database to measure in.
    """
    before = load()
    async with scratch(where) as place:
        tell(f"measuring in the {place.kind} {place.name}, which is removed afterwards; yours is not touched")
        return await _look(place, before, tell)


async def _look(place: Place, before: float, tell: Callable[[str], None]) -> Seen:
    figures: list[Figure] = []

    def note(question: str, text: str, value: float, unit: str, cpu: float | None = None, settings: Any = None) -> None:
        figures.append(
            Figure(
                question=question,
                text=text,
                store=place.store,
                value=value,
                unit=unit,
                cpu_s_per_1000=cpu,
                settings=settings or {},
            )
        )

    flushes, trip_ms = 0.0, 0.0
    if place.store == "sqlite":
        tell("the disk")
        flushes = flushes_per_s(place.folder, _FLUSHES)
        note("fsync", "appends of 4 KiB that the disk keeps, one after the other", flushes, "/s")
    else:
        tell("the way to the server")
        trip_ms = await round_trip_ms(place, _ROUND_TRIPS)
        note("round-trip", "an empty statement and its answer", trip_ms, "ms")
    tell("bare commits")
    probe = await bare_rows(place, 1, _PROBE)
    commit_s = 1 / probe.per_s
    one = await bare_rows(place, 1, _within(commit_s, 20, 1_000))
    commit_s = 1 / one.per_s
    note("bare-1", "bare rows, one after the other", one.per_s, "/s", one.cpu_s_per_1000, one.settings)
    group = await bare_rows(place, _AT_A_TIME, _within(commit_s / _AT_A_TIME, 1_000, 20_000))
    note("bare-100", "bare rows, 100 at a time", group.per_s, "/s", group.cpu_s_per_1000, group.settings)
    tell("runs of one step, one after the other")
    waits = await one_step_runs(place, _within(commit_s * 3, 20, 300))
    p50 = percentile(waits.took_ms, 50)
    note("one-step-p50", "start to result of a one-step run, p50", p50, "ms", waits.cpu_s_per_1000, waits.settings)
    note("one-step-p99", "… p99", percentile(waits.took_ms, 99), "ms")
    tell("runs of ten steps, 100 at a time")
    many = _within(commit_s * (_STEPS + 1) / _AT_A_TIME, 100, 1_000)
    steps = await durable_steps(place, _AT_A_TIME, many, _STEPS)
    note("steps-100", "durable steps, 100 runs at a time", steps.per_s, "/s", steps.cpu_s_per_1000, steps.settings)
    tell("runs of one step, 100 at a time")
    runs = await durable_steps(place, _AT_A_TIME, _within(commit_s * 2 / _AT_A_TIME, 100, 3_000), 1)
    note("runs-100", "runs of one step, 100 at a time", runs.per_s, "/s", runs.cpu_s_per_1000, runs.settings)
    return Seen(
        store=place.store,
        kind=place.kind,
        name=place.name,
        cores=cores(),
        load_before=before,
        load_after=load(),
        file_system=file_system(place.folder) if place.store == "sqlite" else "",
        server_here=place.store == "sqlite" or place.server_pid != 0,
        commit_ms=commit_s * 1e3,
        round_trip_ms=trip_ms,
        one_step_ms=p50,
        one_step_cpu_ms=waits.cpu_s_per_1000,
        steps=steps,
        bare_per_s=group.per_s,
        runs_per_s=runs.per_s,
        flushes_per_s=flushes,
        figures=figures,
    )


def _within(each_s: float, least: int, most: int) -> int:
    """How many fit into a part."""
    return max(least, min(most, int(_PART_S / each_s)))
