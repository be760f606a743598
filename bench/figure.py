"""What a round gives and what many rounds come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from rco.measure.usage import percentile

__all__ = ["Asked", "Figure", "Measured", "Reach", "percentile", "summed_up"]


class Reach(msgspec.Struct, frozen=True):
    """What a figure is to reach: at least ``bound``, or at most."""

    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: which figure, in words, and what it is held against.

    ``against`` names a raw limit; ``compare`` how: ``rate`` (our rate as a share of its rate), ``wait`` (our
    milliseconds as a multiple of the time one row of it takes) or ``cpu`` (our CPU seconds as a multiple of its own).
    """

    name: str
    text: str
    unit: str
    reach: Reach | None = None
    reach_on: dict[str, Reach] = {}
    """Where a store has another reach."""
    against: str = ""
    compare: str = ""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one round found for one line. ``settings`` say what the figure includes."""

    name: str
    value: float
    cpu_s_per_1000: float | None = None
    settings: dict[str, Any] = {}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line over all rounds: medians, and the smallest and largest value beside them."""

    question: str
    text: str
    store: str
    value: float
    unit: str
    cpu_s_per_1000: float | None
    settings: dict[str, Any]
    lowest: float
    highest: float
    rounds: int
    reach: str = ""
    reached: bool | None = None
    ratio: float | None = None
    against: str = ""
    machine: dict[str, Any] = {}


def summed_up(
    asked: Asked, rounds: Sequence[Measured], raw: Sequence[Measured], *, store: str, machine: dict[str, Any]
) -> Figure:
    """One line from its rounds. ``raw`` are the rounds of the limit it is held against, paired by their order."""
    values = [one.value for one in rounds]
    cpu = [one.cpu_s_per_1000 for one in rounds if one.cpu_s_per_1000 is not None]
    ratios = [_ratio(asked.compare, ours, limit) for ours, limit in zip(rounds, raw, strict=False)]
    value = statistics.median(values)
    reach = asked.reach_on.get(store, asked.reach)
    return Figure(
        question=asked.name,
        text=asked.text,
        store=store,
        value=value,
        unit=asked.unit,
        cpu_s_per_1000=statistics.median(cpu) if cpu else None,
        settings=rounds[-1].settings,
        lowest=min(values),
        highest=max(values),
        rounds=len(values),
        reach=str(reach) if reach is not None else "",
        reached=reach.met(value) if reach is not None else None,
        ratio=statistics.median(ratios) if ratios else None,
        against=asked.against if ratios else "",
        machine=machine,
    )


def _ratio(compare: str, ours: Measured, limit: Measured) -> float:
    if compare == "wait":
        return ours.value * limit.value / 1000
    if compare == "cpu":
        return ours.value / (limit.cpu_s_per_1000 or math.nan)
    return ours.value / limit.value
