"""No tick is started twice, early, or not at all against its policy; where overlaps are not allowed there are none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from rco.kit.clock import MICROS, iso, parse_iso
from rco.kit.ids import id_text
from rco.model.journal import Kind
from rco.testing.checks.history import History, Run
from rco.testing.clocks import EPOCH_US
from rco.testing.schedules import CALM_S, schedules_of

__all__ = ["once"]

LATE_US = 60 * MICROS
"""What counts as late. Not the scheduler's own: a wrong one there is to be found here."""


def once(history: History) -> Iterator[str]:
    """Each tick has one run, or a decision that it was passed over: for an overlap, or because it came too late.

    A node is replaced within less than the time after which a tick counts as late, so a death never gives the catch-up
    policy a say, whatever it is. Nodes that are full for long do, where calls are scarce.
    """
    passed: Counter[tuple[str, str]] = Counter()
    specs = {id_text(row.schedule_id): _spec(row.body) for row in schedules_of(history.plan)}
    for one in history.decisions():
        if one.get("verb") == "schedule" and not one.get("allow", True):
            facts = one["facts"]
            spec = specs[facts["schedule"]]
            for number in range(facts.get("count", 1)):
                tick_us = parse_iso(facts["tick"]) + number * round(float(spec["every_s"]) * MICROS)
                passed[facts["schedule"], iso(tick_us)] += 1
                if one["reason"] == "passed over: overlap" and spec["overlap"] not in ("allow", "buffer_all"):
                    continue
                late = one["at_us"] - tick_us > LATE_US and spec["catch_up"] != "all"
                if not (one["reason"] == "passed over: missed" and late and history.plan.crowded):
                    yield f"schedule {one['subject']} ({spec['overlap']}): tick {iso(tick_us)} was {one['reason']}"
    runs: dict[str, list[tuple[str, Run]]] = defaultdict(list)
    for run in history.runs.values():
        if run.row.key is not None and run.row.key.startswith("schedule:"):
            _, schedule_id, tick = run.row.key.split(":", 2)
            runs[schedule_id].append((tick, run))
    for row in schedules_of(history.plan):
        schedule_id = id_text(row.schedule_id)
        spec = _spec(row.body)
        yield from _each(history, row.name, schedule_id, spec, runs.pop(schedule_id, []), passed)
        if spec["overlap"] != "allow":
            overlap = _overlap(history, schedule_id)
            if overlap:
                yield f"schedule {row.name} ({spec['overlap']}): {overlap}"
    for schedule_id in runs:
        yield f"there are runs of a schedule {schedule_id} that nobody made"


def _each(
    history: History,
    name: str,
    schedule_id: str,
    spec: dict[str, Any],
    runs: list[tuple[str, Run]],
    passed: Counter[tuple[str, str]],
) -> Iterator[str]:
    started = Counter(tick for tick, _ in runs)
    wanted = _ticks(history, float(spec["every_s"]))
    for tick in started.keys() - wanted.keys():
        yield f"schedule {name}: {tick} is none of its ticks, and has a run"
    for tick, run in runs:
        # A tick that has come stays so when the wall clock is set back before its run is opened.
        # And it may be opened by another node than the one on whose clock it came.
        differ_us = history.plan.clocks_differ_s * MICROS
        if tick in wanted and run.row.opened_us < wanted[tick] - differ_us and not history.plan.clock_jumps:
            yield f"schedule {name}: tick {tick} was started {wanted[tick] - run.row.opened_us} us early"
    for tick in wanted:
        count = started[tick] + passed[schedule_id, tick]
        if count != 1:
            yield (
                f"schedule {name} ({spec['overlap']}): tick {tick} was started {started[tick]} times and passed over"
                f" {passed[schedule_id, tick]} times"
            )


def _ticks(history: History, every_s: float) -> dict[str, int]:
    """Worked out here once more: multiples of the interval, from the world's beginning to the schedule's end."""
    every_us = round(every_s * MICROS)
    end_us = EPOCH_US + round((history.plan.troubled_s + CALM_S) * MICROS)
    first = EPOCH_US // every_us * every_us + every_us
    return {iso(at): at for at in range(first, end_us + 1, every_us)}


def _overlap(history: History, schedule_id: str) -> str:
    """Two runs of one schedule that were open at the same time, by the commits of their first and last records."""
    spans: list[tuple[float, float]] = []
    for run in history.runs.values():
        if run.row.key is not None and run.row.key.startswith(f"schedule:{schedule_id}:"):
            ended = run.at_s[-1] if run.records[-1].kind == Kind.CLOSE else float("inf")
            spans.append((run.at_s[0], ended))
    spans.sort()
    for before, after in pairwise(spans):
        if after[0] < before[1]:
            return f"a run was opened at {after[0]:.3f} s while one was open until {before[1]:.3f} s"
    return ""


def _spec(body: bytes) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.msgpack.decode(body)[0]
    return {"overlap": "skip", "catch_up": "latest", **spec}
