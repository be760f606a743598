"""Queues: an item goes in with its run and out with its close, turns are fenced, and heads are found without a scan."""

from __future__ import annotations

import asyncio
from typing import Any

from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, Record, encode_record
from rco.model.message import Message
from rco.model.queue import Item, ItemState, Place
from rco.model.run import Mode, Outcome, RunRow
from rco.store.contract.changes import Admission, Admitted, Draft, Ended, Moved, StartKey
from rco.store.contract.queues import Counted, ItemChange, ItemDone, QueueState

SEGMENT = encode_record(Record(Kind.START, "", 1, b"", {}))
IDS = Ids()


def queued(key: str = "", priority: int = 5, queue: str = "mail", **more: Any) -> RunRow:
    known: dict[str, Any] = {
        "run_id": IDS.uuid7(),
        "workflow": "w",
        "version": "1",
        "mode": Mode.QUEUED,
        "opened_us": 7,
        "place": Place(queue, key, priority),
    }
    return RunRow(**(known | more))


def item(row: RunRow, state: int = ItemState.WAITING, granted_us: int | None = None) -> Item:
    assert row.place is not None
    return Item(row.run_id, row.place.queue, row.place.key, row.place.priority, state, row.opened_us, granted_us)


async def admit(keeper: Any, *rows: RunRow, **more: Any) -> Admitted:
    future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
    opened = [(row, SEGMENT) for row in rows]
    admission = Admission(done=future.set_result, failed=future.set_exception, opened=opened, **more)
    keeper.writer.changes(0).admissions.append(admission)
    return await future


async def do(keeper: Any, *changes: Any, **lists: Any) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    collecting = keeper.writer.changes(0)
    collecting.queues += changes
    for name, more in lists.items():
        getattr(collecting, name).extend(more)
    collecting.then.append((future.set_result, (None,)))
    await future


def change(row: RunRow, done: ItemDone, at_us: int = 0) -> ItemChange:
    return ItemChange(row.run_id, "mail", done, at_us)


async def test_an_item_goes_in_with_its_run(keeper: Any, reopen: Any) -> None:
    first, other = queued("a"), queued("b", 0, "print")
    plain = queued(place=None, mode=Mode.HOT)
    await admit(keeper, first, other, plain)
    again = await reopen()
    assert await again.reader.queue_item(first.run_id) == item(first)
    assert await again.reader.queue_item(plain.run_id) is None
    assert await again.reader.queue_counts() == [Counted("mail", 1, 0, 0, 7), Counted("print", 1, 0, 0, 7)]
    row = await again.reader.run(first.run_id)
    assert row.mode is Mode.QUEUED
    assert row.place is None


async def test_a_start_that_is_refused_leaves_no_item(keeper: Any) -> None:
    first, second = queued(), queued()
    keys = [[StartKey("default", "k", b"r", row.run_id)] for row in (first, second)]
    assert (await admit(keeper, first, start_keys=keys[0])).status == "accepted"
    assert (await admit(keeper, second, start_keys=keys[1])).status == "duplicate"
    kept, skipped = queued(), queued()
    decision = Decision(verb=Verb.START, at_us=1)
    keyed = [
        (StartKey("default", name, b"", row.run_id), row, SEGMENT, decision)
        for name, row in (("new", kept), ("k", skipped))
    ]
    assert (await admit(keeper, keyed=keyed)).skipped == (skipped.run_id,)
    assert await keeper.reader.queue_item(second.run_id) is None
    assert await keeper.reader.queue_item(skipped.run_id) is None
    assert await keeper.reader.queue_item(kept.run_id) == item(kept)


async def test_keys_and_heads_come_in_order(keeper: Any) -> None:
    rows = [queued(key, priority) for key, priority in [("b", 5), ("é", 5), ("B", 5), ("b", 5), ("", 9), ("z", 0)]]
    await admit(keeper, *rows)
    keys = [(0, "z"), (5, "B"), (5, "b"), (5, "é"), (9, "")]
    assert await keeper.reader.queue_keys("mail", None, 10) == keys
    assert await keeper.reader.queue_keys("mail", None, 2) == keys[:2]
    assert await keeper.reader.queue_keys("mail", (5, "B"), 2) == keys[2:4]
    assert await keeper.reader.queue_keys("other", None, 10) == []
    heads = await keeper.reader.queue_heads("mail", [(5, "b"), (5, "none"), (9, "")], 1)
    assert heads == [item(rows[0]), item(rows[4])]
    assert await keeper.reader.queue_heads("mail", [(5, "b")], 5) == [item(rows[0]), item(rows[3])]
    assert await keeper.reader.queue_heads("mail", [], 5) == []


async def test_a_turn_is_given_and_ends_with_the_run(keeper: Any, reopen: Any) -> None:
    first, second = queued(), queued()
    await admit(keeper, first, second)
    begin = Message(first.run_id, "begin", "begin", "begin", b"\xc0", 9)
    await do(keeper, change(first, ItemDone.GRANT, 9), messages=[begin])
    again = await reopen()
    assert await again.reader.queue_running("mail") == [item(first, ItemState.RUNNING, 9)]
    assert await again.reader.queue_heads("mail", [(5, "")], 5) == [item(second)]
    assert await again.reader.queue_counts() == [Counted("mail", 1, 1, 0, 7)]
    assert [one.message_id for one in await again.reader.messages(first.run_id)] == ["begin"]
    draft = Draft(first.run_id, 1)
    draft.records = 1
    draft.parts.append(encode_record(Record(Kind.CLOSE, "", 9, b"", ["completed", None])))
    await do(again, change(first, ItemDone.GONE), drafts=[draft], ended=[Ended(first.run_id, Outcome.COMPLETED, 10)])
    assert await again.reader.queue_running("mail") == []
    assert await again.reader.queue_item(first.run_id) is None


async def test_a_queued_run_with_a_turn_is_told_after_a_restart(keeper: Any, reopen: Any) -> None:
    first = queued()
    await admit(keeper, first)
    begin = Message(first.run_id, "begin", "begin", "begin", b"\xc0", 9)
    await do(keeper, change(first, ItemDone.GRANT, 9), messages=[begin])
    again = await reopen()
    # Who listens later, because what wakes runs is made when the keeper has long begun, is told as well.
    for _ in range(2):
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        again.on_mail(lambda run_id, told=told: told.done() or told.set_result(run_id))
        assert await asyncio.wait_for(told, 10) == first.run_id


async def test_holding_and_freeing_touch_only_who_waits(keeper: Any) -> None:
    waits, runs = queued(), queued()
    await admit(keeper, waits, runs)
    await do(keeper, change(runs, ItemDone.GRANT, 9))
    await do(keeper, change(waits, ItemDone.HOLD), change(runs, ItemDone.HOLD))
    assert await keeper.reader.queue_heads("mail", [(5, "")], 5) == []
    assert await keeper.reader.queue_keys("mail", None, 5) == []
    assert await keeper.reader.queue_counts() == [Counted("mail", 0, 1, 1, None)]
    await do(keeper, change(waits, ItemDone.FREE), change(runs, ItemDone.FREE))
    assert await keeper.reader.queue_heads("mail", [(5, "")], 5) == [item(waits)]
    # In one commit the last of them counts, and a turn counts more.
    await do(keeper, change(waits, ItemDone.HOLD), change(waits, ItemDone.FREE))
    assert await keeper.reader.queue_item(waits.run_id) == item(waits)
    await do(keeper, change(waits, ItemDone.GRANT, 9), change(waits, ItemDone.HOLD))
    assert await keeper.reader.queue_item(waits.run_id) == item(waits, ItemState.RUNNING, 9)


async def test_a_turn_for_a_held_run_is_one_all_the_same(keeper: Any) -> None:
    """Who gives it may not have heard: what begins later holds a permit then, and none is given twice."""
    row = queued()
    await admit(keeper, row)
    await do(keeper, change(row, ItemDone.HOLD), moved=[Moved(row.run_id, Mode.PAUSED)])
    await do(keeper, change(row, ItemDone.GRANT, 9))
    await do(keeper, change(row, ItemDone.FREE))
    assert await keeper.reader.queue_item(row.run_id) == item(row, ItemState.RUNNING, 9)


async def test_a_turn_that_goes_back_leaves_the_run_held_without_a_permit(keeper: Any) -> None:
    row, waits = queued(), queued()
    await admit(keeper, row, waits)
    await do(keeper, change(row, ItemDone.GRANT, 9), change(waits, ItemDone.HOLD))
    await do(keeper, change(row, ItemDone.RETURN), change(waits, ItemDone.RETURN))
    assert [await keeper.reader.queue_item(one.run_id) for one in (row, waits)] == [
        item(row, ItemState.HELD),
        item(waits, ItemState.HELD),
    ]
    assert await keeper.reader.queue_running("mail") == []
    await do(keeper, change(row, ItemDone.FREE))
    assert await keeper.reader.queue_heads("mail", [(5, "")], 5) == [item(row)]
    # Of one that has no permit nothing changes.
    await do(keeper, change(row, ItemDone.RETURN))
    assert await keeper.reader.queue_item(row.run_id) == item(row)


async def test_what_follows_a_return_is_done_to_a_held_item(keeper: Any) -> None:
    orders = {
        (ItemDone.RETURN, ItemDone.FREE): ItemState.WAITING,
        (ItemDone.RETURN, ItemDone.FREE, ItemDone.HOLD): ItemState.HELD,
        (ItemDone.FREE, ItemDone.RETURN): ItemState.HELD,
        (ItemDone.HOLD, ItemDone.RETURN): ItemState.HELD,
        (ItemDone.RETURN, ItemDone.GONE): None,
    }
    for order, state in orders.items():
        row = queued()
        await admit(keeper, row)
        await do(keeper, change(row, ItemDone.GRANT, 9))
        await do(keeper, *(change(row, done) for done in order))
        assert await keeper.reader.queue_item(row.run_id) == (None if state is None else item(row, state)), order


async def test_changes_to_what_is_gone_change_nothing(keeper: Any) -> None:
    row = queued()
    await admit(keeper, row)
    await do(keeper, change(row, ItemDone.GONE), change(row, ItemDone.GRANT, 9))
    for done in ItemDone:
        await do(keeper, change(row, done, 9))
    assert await keeper.reader.queue_counts() == []


async def test_the_last_word_on_a_queue_stands(keeper: Any, reopen: Any) -> None:
    assert await keeper.reader.queue_states() == []
    paused, resumed = QueueState("mail", True, 1, "ann", "fire"), QueueState("print", False, 2, "bob")
    await do(keeper, QueueState("print", True, 1), paused, resumed)
    again = await reopen()
    assert await again.reader.queue_states() == [paused, resumed]
    await do(again, QueueState("mail", False, 3, "ann"))
    assert await again.reader.queue_states() == [QueueState("mail", False, 3, "ann"), resumed]


def ordered(key: str = "k", **more: Any) -> RunRow:
    return queued(place=Place("mail", key, 5, ordered=True), **more)


async def test_an_ordered_queue_goes_by_commits_and_not_by_clocks(keeper: Any, reopen: Any) -> None:
    # The clock of whoever made the first identity is ahead.
    late, early = sorted((ordered(), ordered()), key=lambda row: row.run_id, reverse=True)
    await admit(keeper, late)
    await admit(keeper, early, ordered("other"))
    again = await reopen()
    heads = await again.reader.queue_heads("mail", [(5, "k"), (5, "other")], 5)
    assert [one.run_id for one in heads[:2]] == [late.run_id, early.run_id]
    assert [one.key for one in heads] == ["k", "k", "other"]
    first, second, _ = heads
    assert 0 < first.arrival < second.arrival
    await do(again, change(late, ItemDone.HOLD))
    await do(again, change(late, ItemDone.FREE))
    # It has its place again, before what came later.
    assert [one.run_id for one in await again.reader.queue_heads("mail", [(5, "k")], 1)] == [late.run_id]
    await do(again, change(late, ItemDone.GONE), change(early, ItemDone.GONE))
    # Numbers do not begin anew with an empty key.
    third = ordered()
    await admit(again, third)
    found = await again.reader.queue_item(third.run_id)
    assert found.arrival > 0


async def test_within_a_commit_the_order_is_that_in_which_it_took_them(keeper: Any) -> None:
    rows = [ordered() for _ in range(6)]
    shuffled = [rows[at] for at in (3, 0, 5, 1, 4, 2)]
    await admit(keeper, *shuffled)
    heads = await keeper.reader.queue_heads("mail", [(5, "k")], 10)
    assert [one.run_id for one in heads] == [row.run_id for row in shuffled]


async def test_who_sees_a_place_sees_those_before_it(keeper: Any) -> None:
    """Many commits to few keys, and a reader that never finds a place before one that it has not seen."""
    seen: dict[str, list[int]] = {"a": [], "b": []}
    done = asyncio.Event()

    async def follow() -> None:
        while not done.is_set():
            for key, known in seen.items():
                found = [one.arrival for one in await keeper.reader.queue_heads("mail", [(5, key)], 1000)]
                assert found[: len(known)] == known
                known[:] = found

    following = asyncio.create_task(follow())
    await asyncio.gather(*(admit(keeper, ordered("ab"[number % 2])) for number in range(60)))
    done.set()
    await following
    for key in seen:
        places = [one.arrival for one in await keeper.reader.queue_heads("mail", [(5, key)], 1000)]
        assert len(set(places)) == 30
        assert places == sorted(places)
