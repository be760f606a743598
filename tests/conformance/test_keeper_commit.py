"""One transaction at a time, all of it or nothing, and the callbacks in their order."""

from __future__ import annotations

import asyncio

import pytest

from rco.errors import StoreError
from rco.model.run import Mode
from rco.store.contract.changes import Moved


async def test_what_is_added_together_is_committed_together(keeper, desk):
    parent = await desk.open(keeper.writer)
    child = desk.row()

    def fill(changes):
        changes.opened.append(child)
        changes.drafts.append(desk.draft(child.run_id, 0, b"start"))
        changes.drafts.append(desk.draft(parent, 1, b"child", b"opened"))
        changes.moved.append(Moved(parent, Mode.PARKED, 5))

    flushed = await desk.commit(keeper.writer, fill)
    segments = await keeper.reader.segments(flushed.n, flushed.n)
    assert [(s.run_id, s.first_seq, s.data) for s in segments] == [
        (child.run_id, 0, b"start"),
        (parent, 1, b"childopened"),
    ]
    assert (await keeper.reader.run(child.run_id)) == child
    assert flushed.records == 3
    assert flushed.size_bytes == len(b"startchildopened")


async def test_a_transaction_that_fails_leaves_nothing(keeper, desk, reopen):
    """A segment written twice is an error of the program: nothing of that transaction may stand."""
    run_id = await desk.open(keeper.writer)
    broken: list[BaseException] = []
    failed = asyncio.get_running_loop().create_future()
    keeper.writer.on_failure(lambda error: (broken.append(error), failed.set_result(None)))
    other = desk.row()
    admission, verdict = desk.admission(opened=[(desk.row(), b"start")])
    changes = keeper.writer.changes(0)
    changes.opened.append(other)
    changes.drafts += [desk.draft(other.run_id, 0, b"start"), desk.draft(run_id, 0, b"again")]
    changes.admissions.append(admission)
    called = []
    changes.then.append((called.append, (1,)))
    await failed
    assert len(broken) == 1
    with pytest.raises(StoreError):
        await verdict
    with pytest.raises(StoreError):
        keeper.writer.changes(0)
    assert called == []
    again = await reopen()
    assert await again.reader.run(other.run_id) is None
    assert await again.reader.count_open() == {
        Mode.HOT: 1,
        Mode.PARKED: 0,
        Mode.BLOCKED: 0,
        Mode.IN_DOUBT: 0,
        Mode.PAUSED: 0,
        Mode.QUEUED: 0,
    }
    assert [s.data for s in await again.reader.journal(run_id)] == [b"start"]


async def test_while_a_transaction_is_in_flight_everything_collects_into_one(keeper, desk):
    first = desk.row()
    ns: list[int] = []
    keeper.writer.on_flush(lambda flushed: ns.append(flushed.n))
    done = asyncio.get_running_loop().create_future()
    keeper.writer.changes(0).opened.append(first)
    await asyncio.sleep(0)  # the hand-over
    ids = []
    for _ in range(50):
        changes = keeper.writer.changes(0)
        row = desk.row()
        ids.append(row.run_id)
        changes.opened.append(row)
        changes.drafts.append(desk.draft(row.run_id, 0, b"start"))
    changes.then.append((done.set_result, (None,)))
    await done
    assert len(ns) == 2
    assert ns[1] == ns[0] + 1
    assert [s.run_id for s in await keeper.reader.segments(ns[1], ns[1])] == ids


async def test_the_next_batch_leaves_before_the_callbacks_of_the_finished_one(keeper, desk):
    """While callbacks run, the disk is already at work: what they add goes into a third transaction."""
    seen: list[object] = []
    done = asyncio.get_running_loop().create_future()
    writer = keeper.writer
    first = writer.changes(0)
    first.opened.append(desk.row())

    def after_first() -> None:
        seen.append(writer.changes(0) is second)
        seen.append(writer.backlog)
        done.set_result(None)

    first.then.append((after_first, ()))
    await asyncio.sleep(0)
    second = writer.changes(0)
    assert second is not first
    second.drafts.append(desk.draft(desk.id(), 0, b"x"))
    second.records += 1
    await done
    assert seen == [False, 1]


async def test_callbacks_come_in_order_and_listeners_last(keeper, desk):
    order: list[object] = []
    writer = keeper.writer
    writer.on_flush(lambda flushed: order.append("flushed"))
    done = asyncio.get_running_loop().create_future()
    changes = writer.changes(0)
    for name in "ab":
        admission, _ = desk.admission(opened=[(desk.row(), b"start")])
        admission.done = lambda verdict, name=name: order.append((name, verdict.status))
        changes.admissions.append(admission)
    changes.then += [(order.append, (1,)), (order.append, (2,))]
    writer.on_flush(lambda flushed: done.set_result(None))
    assert order == []
    await done
    assert order == [("a", "accepted"), ("b", "accepted"), 1, 2, "flushed"]


async def test_a_callback_that_raises_keeps_nobody_from_theirs(keeper, desk):
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    problem = RuntimeError("mine alone")

    def bad() -> None:
        raise problem

    await desk.commit(
        keeper.writer, lambda changes: (changes.opened.append(desk.row()), changes.then.append((bad, ())))
    )
    assert told == [problem]
    await desk.open(keeper.writer)


async def test_what_only_waits_for_the_commit_before_writes_nothing(keeper, desk):
    await desk.open(keeper.writer)
    head = await keeper.reader.head()
    done = asyncio.get_running_loop().create_future()
    keeper.writer.changes(0).then.append((done.set_result, (None,)))
    await done
    assert (await keeper.reader.head()).n == head.n


async def test_what_only_waits_comes_after_the_callbacks_of_the_commit_in_flight(keeper, desk):
    order: list[int] = []
    done = asyncio.get_running_loop().create_future()
    changes = keeper.writer.changes(0)
    changes.opened.append(desk.row())
    changes.then.append((order.append, (1,)))
    await asyncio.sleep(0)
    keeper.writer.changes(0).then.append((lambda: (order.append(2), done.set_result(None)), ()))
    await done
    assert order == [1, 2]


async def test_stop_flushes_what_is_there_and_takes_nothing_more(keeper, desk, reopen):
    rows = [desk.row() for _ in range(3)]
    called: list[int] = []
    keeper.writer.changes(0).opened.append(rows[0])
    await asyncio.sleep(0)
    keeper.writer.changes(0).opened.append(rows[1])
    keeper.writer.changes(0).then.append((called.append, (1,)))
    keeper.writer.note(desk.decision("last words"))
    await asyncio.gather(keeper.stop(), keeper.stop())
    await keeper.stop()
    assert called == [1]
    with pytest.raises(StoreError):
        keeper.writer.changes(0)
    again = await reopen()
    found = [await again.reader.run(row.run_id) for row in rows]
    assert found == [rows[0], rows[1], None]
    assert b"last words" in (await again.reader.head()).decisions


async def test_stop_before_start_and_reads_after_stop(home):
    keeper = home.keeper()
    await keeper.stop()
    with pytest.raises(StoreError):
        await keeper.reader.head()
    with pytest.raises(StoreError):
        keeper.writer.changes(0)


async def test_backlog_counts_what_is_collected_and_what_is_in_flight(keeper, desk):
    writer = keeper.writer
    assert writer.backlog == 0
    done = asyncio.get_running_loop().create_future()
    changes = writer.changes(0)
    for _ in range(3):
        changes.drafts.append(desk.draft(desk.id(), 0, b"x"))
        changes.records += 1
    changes.then.append((done.set_result, (None,)))
    assert writer.backlog == 3
    await asyncio.sleep(0)
    assert writer.backlog == 3
    changes = writer.changes(0)
    changes.drafts.append(desk.draft(desk.id(), 0, b"x"))
    changes.records += 1
    assert writer.backlog == 4
    await done
    await desk.open(writer)
    assert writer.backlog == 0


async def test_notes_join_the_next_commit_cause_one_when_idle_and_drop_the_oldest(keeper, desk):
    writer = keeper.writer
    flushed = asyncio.get_running_loop().create_future()
    writer.on_flush(lambda one: flushed.done() or flushed.set_result(one))
    for at in range(515):
        writer.note(desk.decision(f"note-{at}."))
    assert writer.notes_dropped == 3
    await flushed
    head = await keeper.reader.head()
    assert head.n == flushed.result().n
    assert b"note-2." not in head.decisions
    assert b"note-3." in head.decisions
    assert head.decisions.index(b"note-3.") < head.decisions.index(b"note-514.")
    writer.note(desk.decision("later"))
    await desk.open(writer)
    assert b"later" in (await keeper.reader.head()).decisions
    assert writer.notes_dropped == 3
