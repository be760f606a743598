"""Queues in an export: who waited, whose turn came, who closed, gone through once in the order of time.

A turn is a decision ``dispatch`` in the commit that gave the permit; the permit is held until the run closes, or until
another ``dispatch``, which does not allow it, says that the turn went back. The order
within a level is deficit round robin in which a key that comes anew is served once ahead of the round: between two
turns of a key that waits and may run, another of its level has at most two, each of as many runs as its weight.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from rco.verify.case import Case, Run, Turn

__all__ = ["QueueRuns", "Waited", "sweep"]

_RETURN, _CLOSE, _TURN, _SINCE = 0, 1, 2, 3
Key = tuple[int, str]


@dataclass(frozen=True)
class Waited:
    """A run of a queue."""

    id: str
    queue: str
    key: str
    level: int
    opened_us: int
    closed_us: int | None
    acted: bool
    """It has records that only a run which has begun has."""


class QueueRuns:
    """Takes the runs that are of a queue out of those that a rule is shown."""

    def __init__(self) -> None:
        self.found: dict[str, Waited] = {}

    def take(self, run: Run) -> None:
        place = run.records[0].body.get("queue") if run.records else None
        # A child begins under its parent's permit.
        if not isinstance(place, dict) or run.line.id in self.found or "parent" in run.records[0].body:
            return
        own = run.records[max(1, run.copied) :]
        self.found[run.line.id] = Waited(
            run.line.id,
            str(place.get("name", "")),
            str(place.get("key", "")),
            int(place.get("priority", 0)),
            run.line.opened_us,
            run.line.closed_us,
            any(record.kind != "CLOSE" for record in own),
        )


@dataclass
class _Line:
    """One queue at a moment of the sweep."""

    running: Counter[str] = field(default_factory=Counter)
    waiting: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    since: dict[Key, int] = field(default_factory=dict)
    """Keys that wait and may run, and at which step that began."""
    order: dict[int, list[tuple[int, Key]]] = field(default_factory=lambda: defaultdict(list))
    """``since`` as a heap for each level, with entries that are no longer so."""
    turns: dict[Key, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    per_key: int | None = None
    tenure: tuple[str, int] | None = None

    def begin(self, key: Key, step: int) -> None:
        self.since[key] = step
        heapq.heappush(self.order[key[0]], (step, key))

    def earliest(self, level: int) -> tuple[int, Key] | None:
        """Who of ``level`` waits longest and may run."""
        order = self.order[level]
        while order and self.since.get(order[0][1]) != order[0][0]:
            heapq.heappop(order)
        return order[0] if order else None


def sweep(case: Case, runs: dict[str, Waited]) -> tuple[list[str], list[str]]:
    """(limits passed, turns that were not fair), a sentence each."""
    over: list[str] = []
    unfair: list[str] = []
    by_queue: dict[str, list[Turn]] = defaultdict(list)
    given: Counter[str] = Counter()
    for turn in case.turns:
        by_queue[turn.queue].append(turn)
        given[turn.run] += 1
    for run in runs.values():
        if given[run.id] > 1 + len(case.returns.get(run.id, ())):
            over.append(f"run {run.id} was given {given[run.id]} turns in queue {run.queue}")
        elif run.acted and not given[run.id] and not case.begun_before_cut(run.opened_us):
            over.append(f"run {run.id} began without a turn in queue {run.queue}")
    waited: dict[str, list[Waited]] = defaultdict(list)
    for run in runs.values():
        # Of one whose turn may be gone it cannot be told whether it waits still.
        if given[run.id] or not case.begun_before_cut(run.opened_us):
            waited[run.queue].append(run)
    for queue, turns in by_queue.items():
        _queue(case, queue, turns, waited[queue], over, unfair)
    return over, unfair


def _queue(
    case: Case,
    queue: str,
    turns: list[Turn],
    waited: list[Waited],
    over: list[str],
    unfair: list[str],
) -> None:
    heard_us, skew_us = case.options.heard_us, case.options.skew_us
    had = {turn.run for turn in turns}
    events: list[tuple[int, int, int, Any]] = []
    for place, turn in enumerate(sorted(turns, key=lambda one: (one.at_us, one.chain, one.n, one.place))):
        events.append((turn.at_us, _TURN, place, turn))
    went_back = [(at_us - skew_us, run) for run in waited for at_us in case.returns.get(run.id, ())]
    events += [(at_us, _RETURN, place, run) for place, (at_us, run) in enumerate(went_back)]
    for place, run in enumerate(waited):
        if run.closed_us is not None and run.id in had:
            events.append((run.closed_us - skew_us, _CLOSE, place, run))
        if run.id not in case.steered and run.id not in case.returns:
            events.append((run.opened_us + heard_us, _SINCE, place, run))
    heapq.heapify(events)
    line, closed, begun = _Line(), set[str](), set[str]()
    early: Counter[str] = Counter()
    """Turns that went back before they were given, by the clocks of two nodes."""
    step = len(events)
    while events:
        at_us, kind, _, what = heapq.heappop(events)
        step += 1
        if kind in (_RETURN, _CLOSE):
            if kind == _CLOSE:
                closed.add(what.id)
            elif what.id not in begun:
                early[what.id] += 1
            if what.id in begun:
                begun.discard(what.id)
                line.running[what.key] -= 1
                if line.per_key is not None and line.running[what.key] == line.per_key - 1:
                    heapq.heappush(events, (at_us + heard_us, _SINCE, step, what.key))
        elif kind == _SINCE and isinstance(what, str):
            # The key has room since a while ago.
            for key in [key for key in line.waiting if key[1] == what and line.waiting[key]]:
                if key not in line.since and _may(line, key):
                    line.begin(key, step)
        elif kind == _SINCE:
            key = (what.level, what.key)
            if what.id not in begun and what.id not in closed:
                line.waiting[key].add(what.id)
                if key not in line.since and _may(line, key):
                    line.begin(key, step)
        else:
            is_over = what.run in closed
            if not is_over and early[what.run]:
                early[what.run] -= 1
                is_over = True
            if not is_over:
                begun.add(what.run)
            _turn(line, queue, what, step, is_over, over, unfair)


def _may(line: _Line, key: Key) -> bool:
    return line.per_key is None or line.running[key[1]] < line.per_key


def _turn(line: _Line, queue: str, turn: Turn, step: int, is_over: bool, over: list[str], unfair: list[str]) -> None:
    key = (turn.level, turn.key)
    if line.tenure != (turn.chain, turn.epoch):
        # Another owner begins a round of its own, and has to read who waits.
        line.tenure = (turn.chain, turn.epoch)
        line.turns.clear()
        for other in list(line.since):
            line.begin(other, step)
    line.per_key = turn.per_key_concurrency
    if not is_over:
        line.running[turn.key] += 1
    together = sum(line.running.values())
    if turn.concurrency is not None and together > turn.concurrency:
        over.append(f"queue {queue}: {together} runs at once at {turn.at_us}, {turn.concurrency} are allowed")
    mine = line.running[turn.key]
    if turn.per_key_concurrency is not None and mine > turn.per_key_concurrency:
        over.append(
            f"queue {queue}: {mine} runs of key {turn.key!r} at once at {turn.at_us}, "
            f"{turn.per_key_concurrency} are allowed"
        )
    line.waiting[key].discard(turn.run)
    line.since.pop(key, None)
    recent = line.turns[key]
    recent.append(step)
    if len(recent) > 2 * turn.weight + 1:
        recent.popleft()
    for level in range(turn.level):
        before = line.earliest(level)
        if before is not None:
            unfair.append(
                f"queue {queue}: run {turn.run} of level {turn.level} had a turn at {turn.at_us} while key "
                f"{before[1][1]!r} of level {level} waited"
            )
            break
    longest = line.earliest(turn.level)
    if longest is not None and len(recent) == 2 * turn.weight + 1 and longest[0] < recent[0]:
        unfair.append(
            f"queue {queue}: key {turn.key!r} had {len(recent)} turns by {turn.at_us} while key "
            f"{longest[1][1]!r} waited"
        )
    if line.waiting[key] and _may(line, key):
        line.begin(key, step)
    for other in [one for one in line.since if one[1] == turn.key and not _may(line, one)]:
        del line.since[other]
