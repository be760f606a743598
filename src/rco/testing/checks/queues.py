"""No queue runs more than it may, over all nodes; each run begins once, in its turn; and turns are fair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rco.model.journal import Kind
from rco.model.queue import Queue
from rco.testing.checks.history import History
from rco.testing.tables import Granted

__all__ = ["fair", "in_order", "limits", "turns"]


def limits(history: History) -> Iterator[str]:
    """From the commit of a turn to that of the close, or of its going back, in the world's time: never more at once
    than the queue says."""
    spec = history.plan.queue
    if spec is None or history.rewinds:
        return
    moments: list[tuple[float, int, str]] = []
    for one in history.tables.granted:
        moments.append((one.at_s, 1, one.item.key))
        moments.append((_until_s(history, one), -1, one.item.key))
    count: Counter[str] = Counter()
    for at_s, step, key in sorted(moments):
        count[key] += step
        if spec.concurrency is not None and count.total() > spec.concurrency:
            yield f"{count.total()} runs of the queue at once at {at_s:.6f}; {spec.concurrency} are allowed"
        if spec.per_key_concurrency is not None and count[key] > spec.per_key_concurrency:
            yield f"{count[key]} runs of {key} at once at {at_s:.6f}; {spec.per_key_concurrency} are allowed"


def _until_s(history: History, turn: Granted) -> float:
    """When the permit of this turn was free again."""
    run_id = turn.item.run_id
    back_s = (one.at_s for one in history.tables.returned if one.run_id == run_id and one.at_s > turn.at_s)
    return min(back_s, default=history.runs[run_id].closed_s)


def turns(history: History) -> Iterator[str]:
    """A run of the queue is given one turn, and one more for each that went back, and begins once, behind the last. No
    item outlives its run."""
    if history.plan.queue is None or history.rewinds:
        return
    given = Counter(one.item.run_id for one in history.tables.granted)
    given_s = {one.item.run_id: one.at_s for one in history.tables.granted}
    back = Counter(one.run_id for one in history.tables.returned)
    back_s = {one.run_id: one.at_s for one in history.tables.returned}
    for run_id, run in history.runs.items():
        begins = [at_s for record, at_s in zip(run.records, run.at_s, strict=True) if record.kind == Kind.BEGIN]
        queued = "queue" in run.start and run.row.parent is None
        if len(begins) > 1 or given[run_id] > 1 + back[run_id] or (begins and not queued):
            yield f"{run.name} began {len(begins)} times, on {given[run_id]} turns"
        elif begins and not (given[run_id] and back_s.get(run_id, 0.0) < given_s[run_id] <= begins[0]):
            yield f"{run.name} began at {begins[0]:.6f} without a turn"
        elif queued and not begins and {record.kind for record in run.own} - {Kind.START, Kind.CLOSE, Kind.VERSION}:
            yield f"{run.name} waits in the queue and did something"
    for run_id in history.tables.items:
        if run_id not in history.tables.runs:
            yield f"run {run_id.hex()} is not open, and has an item in the queue"


def in_order(history: History) -> Iterator[str]:
    """In an ordered queue the runs of a key have their turns in the order of the commits that opened them, whichever
    nodes those were of."""
    spec = history.plan.queue
    if spec is None or not spec.ordered or history.rewinds:
        return
    # One that was passed over for a while comes later than it would.
    steered = {one.run_id for one in history.log if one.verb in ("pause", "resume", "cancel")}
    steered |= {one.run_id for one in history.tables.returned}
    last: dict[tuple[int, str], int] = {}
    for one in history.tables.granted:
        item = one.item
        if item.run_id in steered:
            continue
        line = (item.priority, item.key)
        if item.arrival <= last.get(line, 0):
            yield f"run {item.run_id.hex()} of {item.key} had its turn at {one.at_s:.6f}, after one that came later"
        last[line] = max(item.arrival, last.get(line, 0))


def fair(history: History) -> Iterator[str]:
    """Between two turns of a key that waits and may run, another of its level has two, each of its weight; and nobody
    of a later level has any. Within one tenure of the queue's shard, and from when its owner must have heard."""
    plan = history.plan
    if plan.queue is None or history.rewinds:
        return
    # A start is heard of by a callback, by a notice or by looking; a reader may ask again for a while.
    heard_s = 2 * plan.leases.poll_s + 4 * plan.patience_s + plan.lock_wait_s + 2
    heard_s += plan.pause_s[1] if plan.pauses else 0
    heard_s += plan.partition_s[1] if plan.partitions else 0
    paused = {one.run_id for one in history.log if one.verb in ("pause", "cancel")}
    paused |= {one.run_id for one in history.tables.returned}
    granted = history.tables.granted
    for place, mine in enumerate(granted):
        run = history.runs[mine.item.run_id]
        if mine.item.run_id in paused:
            continue
        since_s = max(run.at_s[0], _free_since_s(history, plan.queue, mine)) + heard_s
        yield from _passed_over(plan.queue, granted[:place], mine, since_s, run.name)


def _free_since_s(history: History, spec: Queue, mine: Granted) -> float:
    """Since when the key had a permit to take."""
    if spec.per_key_concurrency is None:
        return 0.0
    others = [one for one in history.tables.granted if one.item.key == mine.item.key and one.at_s < mine.at_s]
    spans = [(one.at_s, _until_s(history, one)) for one in others]
    free_s = 0.0
    for _, closed_s in spans:
        before = sum(first <= closed_s - 1e-9 < last for first, last in spans)
        if closed_s < mine.at_s and before >= spec.per_key_concurrency:
            free_s = max(free_s, closed_s)
    return free_s


def _passed_over(spec: Queue, before: list[Granted], mine: Granted, since_s: float, name: str) -> Iterator[str]:
    level, key = mine.item.priority, mine.item.key
    count: Counter[str] = Counter()
    for one in reversed(before):
        if one.at_s <= since_s or one.epoch != mine.epoch or (one.item.priority, one.item.key) == (level, key):
            break
        if one.item.priority > level:
            yield f"{name} of level {level} waited while level {one.item.priority} had a turn at {one.at_s:.6f}"
        elif one.item.priority == level:
            count[one.item.key] += 1
            if count[one.item.key] > 2 * spec.weights.get(one.item.key, 1):
                yield f"{name} of {key} waited while {one.item.key} had {count[one.item.key]} turns"
