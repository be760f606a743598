"""Runs wait for their turn, within the limits, in the order of levels and keys, and survive a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rco.engine.ask import StartAsk
from rco.errors import Misuse, NotFound, Overloaded
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, decode_segment
from rco.model.queue import Queue
from rco.model.run import Mode, Outcome
from rco.store.contract.queues import Counted, QueueState
from rco.verify.verdict import Result


async def test_no_more_begin_than_may_run(node: Any) -> None:
    runs = [await node.open() for _ in range(5)]
    await node.is_in(Mode.HOT, *runs[:2])
    await node.is_in(Mode.QUEUED, *runs[2:])
    assert (await node.counted()).running == 2
    await node.go(runs[0])
    await node.is_in(Mode.HOT, runs[2])
    for run_id in runs[1:]:
        await node.go(run_id)
        finished = await node.engine.result(run_id, 10)
        assert finished.outcome is Outcome.COMPLETED
    assert await node.counted() == Counted("q", 0, 0, 0, None)
    assert await node.order() == [id_text(run_id) for run_id in runs]


async def test_who_waits_and_who_runs_goes_on_after_a_restart(nodes: Any) -> None:
    node = await nodes()
    runs = [await node.open() for _ in range(5)]
    await node.is_in(Mode.HOT, *runs[:2])
    await node.stop()
    await node.start()
    await node.is_in(Mode.HOT, *runs[:2])
    await node.until(lambda: ready(node))
    assert (await node.counted()).running == 2
    await node.go(runs[1])
    await node.is_in(Mode.HOT, runs[2])
    assert (await node.counted()).running == 2


async def ready(node: Any) -> bool:
    return all(line.ready for line in node.dispatcher.lines())


async def test_the_code_begins_when_its_turn_comes(nodes: Any, clock: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1)})
    first, second = await node.open(), await node.open()
    await node.is_in(Mode.HOT, first)
    clock.ahead_us += 3_600_000_000
    await node.go(first)
    await node.is_in(Mode.HOT, second)
    segments = await node.keeper.reader.journal(second)
    records = [record for segment in segments for record in decode_segment(segment.data)]
    assert [record.kind for record in records[:2]] == [Kind.START, Kind.BEGIN]
    assert records[1].at_us - records[0].at_us >= 3_600_000_000
    assert records[0].body["queue"] == {"name": "q", "key": "", "priority": 5}
    await node.go(second)


async def test_a_lower_number_goes_first_and_keys_take_turns(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1, weights={"heavy": 2})})
    first = await node.open()
    await node.is_in(Mode.HOT, first)
    heavy = [await node.open("note", fair_key="heavy") for _ in range(6)]
    light = [await node.open("note", fair_key="light") for _ in range(3)]
    urgent = await node.open("note", fair_key="heavy", priority=0)
    last = await node.open("note", priority=9)
    await node.go(first)
    assert (await node.engine.result(last, 20)).outcome is Outcome.COMPLETED
    a, b = [id_text(one) for one in heavy], [id_text(one) for one in light]
    assert await node.order() == [
        *(id_text(first), id_text(urgent)),
        *(a[0], a[1], b[0], a[2], a[3], b[1], a[4], a[5], b[2]),
        id_text(last),
    ]


async def test_a_key_has_a_limit_of_its_own(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=3, per_key_concurrency=1)})
    many = [await node.open(fair_key="a") for _ in range(3)]
    other = await node.open(fair_key="b")
    await node.is_in(Mode.HOT, many[0], other)
    await node.is_in(Mode.QUEUED, *many[1:])
    await node.go(many[0])
    await node.is_in(Mode.HOT, many[1])
    assert (await node.counted()).running == 2
    for run_id in [*many[1:], other]:
        await node.go(run_id)
        await node.engine.result(run_id, 10)


async def test_keys_of_two_namespaces_are_two(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(per_key_concurrency=1)})
    mine = await node.open(fair_key="a")
    theirs = await node.open(fair_key="a", namespace="other")
    await node.is_in(Mode.HOT, mine, theirs)


async def test_more_runs_than_a_page_all_have_their_turn(node: Any) -> None:
    """The rest is in the store, and read before its turn: in its order, each once."""
    runs = [await node.open("note", fair_key=f"k{number % 3}") for number in range(90)]
    for run_id in runs:
        assert (await node.engine.result(run_id, 20)).outcome is Outcome.COMPLETED
    order = await node.order()
    assert sorted(order) == sorted(id_text(one) for one in runs)
    for key in range(3):
        mine = [id_text(one) for one in runs[key::3]]
        assert [one for one in order if one in mine] == mine


async def test_a_waiting_run_is_cancelled_without_its_code(node: Any) -> None:
    runs = [await node.open() for _ in range(3)]
    await node.is_in(Mode.HOT, *runs[:2])
    await node.engine.cancel(runs[2], "no", "me", Decision(verb=Verb.CANCEL, at_us=0))
    finished = await node.engine.result(runs[2], 10)
    assert (finished.outcome, finished.value["message"]) == (Outcome.CANCELLED, "no")
    assert await node.counted() == Counted("q", 0, 2, 0, None)
    segments = await node.keeper.reader.journal(runs[2])
    kinds = [record.kind for segment in segments for record in decode_segment(segment.data)]
    assert kinds == [Kind.START, Kind.CLOSE]
    await node.go(runs[0])
    assert (await node.engine.result(runs[0], 10)).outcome is Outcome.COMPLETED


async def test_a_terminated_run_gives_its_permit_back(node: Any) -> None:
    runs = [await node.open() for _ in range(4)]
    await node.is_in(Mode.HOT, *runs[:2])
    for run_id in (runs[0], runs[2]):
        row = await node.keeper.reader.run(run_id)
        await node.engine.terminate(row, "enough", Decision(verb=Verb.CANCEL, at_us=0))
    await node.is_in(Mode.HOT, runs[3])
    assert await node.counted() == Counted("q", 0, 2, 0, None)


async def steer(node: Any, verb: str, run_id: bytes, message_id: str = "") -> None:
    ask = node.engine.pause if verb == "pause" else node.engine.resume
    await ask(run_id, "why", "me", Decision(verb=Verb(verb), at_us=0), message_id)


async def test_a_paused_run_keeps_its_place_and_is_passed_over(node: Any) -> None:
    runs = [await node.open() for _ in range(4)]
    await node.is_in(Mode.HOT, *runs[:2])
    await steer(node, "pause", runs[2], "p")
    await node.is_in(Mode.PAUSED, runs[2])
    assert (await node.counted()).held == 1
    await node.go(runs[0])
    await node.is_in(Mode.HOT, runs[3])
    assert await node.mode(runs[2]) is Mode.PAUSED
    await steer(node, "resume", runs[2])
    await node.is_in(Mode.QUEUED, runs[2])
    # A request that comes once more, late, says nothing new.
    await steer(node, "pause", runs[2], "p")
    await node.go(runs[1])
    await node.is_in(Mode.HOT, runs[2])
    assert (await node.counted()).running == 2


async def test_signals_for_a_waiting_run_are_kept(node: Any) -> None:
    runs = [await node.open() for _ in range(3)]
    await node.is_in(Mode.HOT, *runs[:2])
    await node.go(runs[2])
    assert await node.mode(runs[2]) is Mode.QUEUED
    await node.go(runs[0])
    assert (await node.engine.result(runs[2], 10)).outcome is Outcome.COMPLETED


async def test_a_paused_queue_gives_no_turns(nodes: Any) -> None:
    node = await nodes()
    first = await node.open()
    await node.is_in(Mode.HOT, first)

    async def set_paused(paused: bool) -> None:
        state = QueueState("q", paused, 1, "me", "why")
        changes = node.keeper.writer.changes(0)
        changes.queues.append(state)
        changes.then.append((node.dispatcher.set_paused, (state,)))

        async def seen() -> bool:
            return [line.paused for line in node.dispatcher.lines()] == [paused]

        await node.until(seen)

    await set_paused(True)
    waits = await node.open()
    await node.go(first)
    await node.engine.result(first, 10)
    await node.stop()
    await node.start()
    await node.until(lambda: ready(node))
    assert await node.mode(waits) is Mode.QUEUED
    await set_paused(False)
    await node.is_in(Mode.HOT, waits)


async def test_what_cannot_wait_is_refused(nodes: Any) -> None:
    node = await nodes(queues={"q": Queue(concurrency=1, waiting_limit=2)})
    with pytest.raises(Misuse, match="no queue named 'other'"):
        await node.open(queue="other")
    with pytest.raises(Misuse, match="priority is 10"):
        await node.open(priority=10)
    with pytest.raises(Misuse, match="201 characters"):
        await node.open(fair_key="x" * 201)
    with pytest.raises(NotFound):
        await node.open("nobody")
    first = await node.open()
    await node.is_in(Mode.HOT, first)
    await node.open()
    await node.open()
    with pytest.raises(Overloaded, match="2 runs wait in queue q; the limit is 2"):
        await node.open()


async def test_a_count_that_is_old_when_it_comes_changes_nothing(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who comes while the queue is taken up may be one too few until the next count.
    await node.until(lambda: ready(node))
    runs = [await node.open() for _ in range(3)]
    await node.is_in(Mode.HOT, *runs[:2])
    (line,) = node.dispatcher.lines()
    assert line.waiting == 1
    reader, asked, answer = node.dispatcher._reader, asyncio.Event(), asyncio.Event()
    counts = reader.queue_counts

    async def late() -> Any:
        found = await counts()
        asked.set()
        await answer.wait()
        return found

    monkeypatch.setattr(reader, "queue_counts", late)
    counting = asyncio.create_task(node.dispatcher._count())
    await asked.wait()
    await node.go(runs[0])
    await node.is_in(Mode.HOT, runs[2])
    await node.until(lambda: _no_turn_is_given(node))
    answer.set()
    await counting
    assert line.waiting == 0


async def _no_turn_is_given(node: Any) -> bool:
    return not any(held.granting for held in node.dispatcher._held.values())


async def test_a_queue_that_is_not_declared_any_more_stands_still(node: Any) -> None:
    runs = [await node.open() for _ in range(3)]
    await node.is_in(Mode.HOT, *runs[:2])
    node.dispatcher.reload({})
    await node.go(runs[0])
    await node.engine.result(runs[0], 10)
    assert await node.mode(runs[2]) is Mode.QUEUED
    node.dispatcher.reload({"q": Queue(concurrency=1)})
    await node.until(lambda: ready(node))
    assert await node.mode(runs[2]) is Mode.QUEUED
    node.dispatcher.reload({"q": Queue(concurrency=2)})
    await node.is_in(Mode.HOT, runs[2])


async def test_the_same_key_is_the_same_run(node: Any) -> None:
    ask = StartAsk(workflow="hang", key="k", queue="q")
    first, again = await node.engine.start_run(ask), await node.engine.start_run(ask)
    assert (first.run_id, first.created, again.created) == (again.run_id, True, False)
    counted = await node.counted()
    assert counted.waiting + counted.running == 1


async def test_the_export_shows_that_limits_and_turns_were_kept(nodes: Any, tmp_path: Path) -> None:
    node = await nodes(queues={"q": Queue(concurrency=3, per_key_concurrency=2, weights={"k0": 2})})
    runs = [await node.open("note", fair_key=f"k{number % 4}", priority=5 - number % 2) for number in range(60)]
    for run_id in runs:
        assert (await node.engine.result(run_id, 20)).outcome is Outcome.COMPLETED
    rules = await node.verified(tmp_path / "export.jsonl")
    assert (rules["g"].result, rules["g"].findings) == (Result.PASS, ())
    assert rules["g"].evidence == "60 turns of 4 keys"
    assert rules["f"].findings == ()
    assert "60 turns in queues" in rules["f"].evidence
    assert [one.rule for one in rules.values() if one.result is Result.FAIL] == []
