"""Turns in queues as the checker sees them: what a line gives passes, and what it must not give is found."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import msgspec
import pytest

from rco.model.queue import Item, ItemState, Queue
from rco.queues.line import Line
from rco.verify.case import Case, Run, Turn
from rco.verify.lines import RecordLine, RunLine
from rco.verify.options import Options
from rco.verify.rules.fairness import Fairness
from rco.verify.rules.limits import RateLimits
from rco.verify.verdict import Result

SPEC = Queue(concurrency=3, per_key_concurrency=2, weights={"k0": 2})
SECOND = 1_000_000


def run(id: str, key: str, level: int, opened_us: int, closed_us: int | None) -> Run:
    body = {"workflow": "w", "queue": {"name": "q", "key": key, "priority": level}}
    records = [RecordLine(run=id, seq=0, n=1, at_us=opened_us, kind="START", key="", fp="", body=body)]
    records.append(RecordLine(run=id, seq=1, n=1, at_us=opened_us, kind="BEGIN", key="", fp="", body={}))
    line = RunLine(id=id, workflow="w", state="completed", opened_us=opened_us, closed_us=closed_us)
    return Run(line, records=records)


def lived(
    seed: int, count: int = 400, back: dict[str, list[int]] | None = None, turning: float = 0.0
) -> tuple[list[Run], list[Turn]]:
    """What a line in real use leaves behind: runs come in bursts, a turn every second, each takes a while. Of the turns
    the share ``turning`` goes back into ``back``, and is given again some seconds later."""
    random = Random(seed)
    line = Line("q", SPEC, 1000, 1000)
    now_us, number = 0, 0
    waiting: dict[bytes, tuple[str, int, int]] = {}
    under_way: deque[tuple[int, bytes]] = deque()
    closed: dict[bytes, int] = {}
    returned: deque[tuple[int, Item]] = deque()
    turns: list[Turn] = []
    while number < count or waiting or returned:
        now_us += SECOND
        while returned and returned[0][0] <= now_us:
            line.push(returned.popleft()[1], again=True)
        for _ in range(random.choice((0, 0, 1, 6)) if number < count else 0):
            number += 1
            run_id, key, level = number.to_bytes(16, "big"), f"k{random.randrange(4)}", random.choice((5, 5, 5, 2))
            line.push(Item(run_id, "q", key, level, ItemState.WAITING, now_us))
            waiting[run_id] = (key, level, now_us)
        while under_way and under_way[0][0] <= now_us:
            closed[under_way[0][1]] = now_us
            line.release(under_way.popleft()[1])
        now_us += SECOND // 2
        while line.has_room and isinstance(item := line.next(), Item):
            weight = SPEC.weights.get(item.key, 1)
            name = item.run_id.hex()
            turns.append(Turn("q", name, item.key, item.priority, weight, 3, 2, now_us, "", 1, len(turns), 1))
            known[name] = waiting.pop(item.run_id, known.get(name, ("", 0, 0)))
            if back is not None and random.random() < turning:
                back.setdefault(name, []).append(now_us + SECOND // 4)
                line.release(item.run_id)
                returned.append((now_us + 7 * SECOND, item))
                break
            under_way.append((now_us + 2 * SECOND, item.run_id))
    runs = [run(name, *place, closed.get(bytes.fromhex(name))) for name, place in known.items()]
    known.clear()
    return runs, turns


known: dict[str, tuple[str, int, int]] = {}


def verdicts(
    runs: list[Run], turns: list[Turn], back: dict[str, list[int]] | None = None, **options: Any
) -> tuple[Any, Any]:
    case = Case(Options(heard_us=SECOND // 10, **options), None, None, None)
    case.turns = turns
    case.returns.update(back or {})
    rules = (RateLimits(case), Fairness(case))
    for rule in rules:
        for one in runs:
            rule.take(one)
    return rules[0].finish(), rules[1].finish()


@pytest.mark.parametrize("seed", range(20))
def test_what_a_line_gives_passes(seed: int) -> None:
    runs, turns = lived(seed)
    limits, fair = verdicts(runs, turns)
    # Without a ledger of targets nothing is known of those.
    assert (limits.result, limits.findings) == (Result.UNKNOWN, ())
    assert f"{len(turns)} turns in queues" in limits.evidence
    assert (fair.result, fair.findings) == (Result.PASS, ())


@pytest.mark.parametrize("seed", range(10))
def test_turns_that_went_back_hold_no_permit(seed: int) -> None:
    back: dict[str, list[int]] = {}
    runs, turns = lived(seed, back=back, turning=0.2)
    assert len(back) > 20
    limits, fair = verdicts(runs, turns, back)
    assert (limits.findings, fair.result, fair.findings) == ((), Result.PASS, ())
    # Two nodes' clocks may have it that a turn went back before it was given.
    early = {name: [at_us - SECOND for at_us in times] for name, times in back.items()}
    assert verdicts(runs, turns, early)[0].findings == ()
    # Not told of, they are turns like any.
    limits, _ = verdicts(runs, turns)
    assert limits.result is Result.FAIL
    assert any("was given 2 turns" in one for one in limits.findings)


def test_no_turn_is_nothing_to_look_at() -> None:
    limits, fair = verdicts([], [])
    assert "queues" not in limits.evidence
    assert fair.result is Result.NOT_APPLICABLE


def test_a_lower_limit_than_was_kept_is_found() -> None:
    runs, turns = lived(1)
    limits, _ = verdicts(runs, [_with(one, concurrency=2) for one in turns])
    assert limits.result is Result.FAIL
    assert "3 runs at once" in limits.findings[0]
    limits, _ = verdicts(runs, [_with(one, per_key_concurrency=1) for one in turns])
    assert "2 runs of key" in limits.findings[0]


def test_a_turn_that_is_given_twice_or_never_is_found() -> None:
    runs, turns = lived(2)
    limits, _ = verdicts(runs, [*turns, turns[-1]])
    assert "was given 2 turns" in limits.findings[0]
    limits, _ = verdicts(runs, turns[1:])
    assert "began without a turn" in limits.findings[0]


def test_a_turn_before_one_of_an_earlier_level_is_found() -> None:
    runs, turns = lived(3)
    urgent = {one.run for one in turns if one.level == 2}
    _, fair = verdicts([_moved(one) if one.line.id in urgent else one for one in runs], turns)
    assert fair.result is Result.FAIL
    assert "of level 5 had a turn" in fair.findings[0]


def test_a_key_that_is_left_waiting_is_found() -> None:
    """The turns of one key are all made last: others had turn after turn while it waited."""
    runs, turns = lived(4)
    left = [one for one in turns if (one.level, one.key) == (5, "k3")]
    others = [one for one in turns if one not in left]
    last_us = turns[-1].at_us
    moved = [_with(one, at_us=last_us + (at + 1) * 10 * SECOND) for at, one in enumerate(left)]
    ids = {one.run: one.at_us + SECOND for one in moved}
    late = [_closing(one, ids[one.line.id]) if one.line.id in ids else one for one in runs]
    _, fair = verdicts(late, [*others, *moved])
    assert fair.result is Result.FAIL
    assert "while key 'k3' waited" in "\n".join(fair.findings)


def test_who_was_paused_says_nothing() -> None:
    runs, turns = lived(3)
    urgent = {one.run for one in turns if one.level == 2}
    moved = [_moved(one) if one.line.id in urgent else one for one in runs]
    case = Case(Options(heard_us=SECOND // 10), None, None, None)
    case.turns, case.steered = turns, urgent
    rule = Fairness(case)
    for one in moved:
        rule.take(one)
    assert rule.finish().result is Result.PASS


def _with(turn: Turn, **more: Any) -> Turn:
    return Turn(**{**vars(turn), **more})


def _moved(one: Run) -> Run:
    """As if it had come much earlier."""
    return Run(msgspec.structs.replace(one.line, opened_us=one.line.opened_us - 60 * SECOND), records=one.records)


def _closing(one: Run, at_us: int) -> Run:
    return Run(msgspec.structs.replace(one.line, closed_us=at_us), records=one.records)
