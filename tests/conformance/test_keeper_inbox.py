"""Messages, and events that become messages for the runs that wait for them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from rco.model.message import Message
from rco.model.run import Outcome
from rco.store.contract.changes import Ended, Waiter


def _waiter(desk, run_id: bytes, subject: str | None = "order-1", *, key: str = "wait/1", since_us: int = 0, **more):
    return Waiter(run_id, key, more.get("namespace", "default"), more.get("type", "paid"), subject, since_us)


async def test_messages_come_in_the_order_of_their_arrival(keeper, desk):
    run_id = await desk.open(keeper.writer)
    for name in ("z", "a"):
        await desk.commit(keeper.writer, lambda c, name=name: c.messages.append(desk.message(run_id, name)))
    await desk.commit(
        keeper.writer, lambda c: c.messages.extend([desk.message(run_id, "m2"), desk.message(run_id, "m1")])
    )
    assert [m.message_id for m in await keeper.reader.messages(run_id)] == ["z", "a", "m2", "m1"]


async def test_a_message_is_delivered_once(keeper, desk):
    run_id = await desk.open(keeper.writer)
    flushed = await desk.commit(keeper.writer, lambda c: c.messages.append(desk.message(run_id, "m", b"\x01")))
    assert flushed.woken == (run_id,)
    await desk.commit(keeper.writer, lambda c: c.messages.append(desk.message(run_id, "m", b"\x02")))
    assert [m.body for m in await keeper.reader.messages(run_id)] == [b"\x01"]
    assert (await desk.admit(keeper.writer, messages=[desk.message(run_id, "m", b"\x03")])).status == "accepted"
    assert [m.body for m in await keeper.reader.messages(run_id)] == [b"\x01"]


async def test_a_taken_message_is_gone_and_so_is_its_repeat(keeper, desk):
    run_id = await desk.open(keeper.writer)
    both = [desk.message(run_id, "m"), desk.message(run_id, "n")]
    await desk.commit(keeper.writer, lambda c: c.messages.extend(both))

    def take(changes):
        changes.drafts.append(desk.draft(run_id, 1, b"took m"))
        changes.taken.append((run_id, "m"))
        changes.messages.append(desk.message(run_id, "m"))

    await desk.commit(keeper.writer, take)
    assert await keeper.reader.messages(run_id) == [both[1]]


async def test_a_message_for_a_run_that_is_not_open_is_dropped(keeper, desk):
    run_id = await desk.open(keeper.writer)
    stranger = desk.id()

    def fill(changes):
        changes.messages += [desk.message(stranger), desk.message(run_id)]
        changes.ended.append(Ended(run_id, Outcome.FAILED, 1))

    flushed = await desk.commit(keeper.writer, fill)
    assert flushed.woken == ()
    assert await keeper.reader.messages(stranger) == []
    assert await keeper.reader.messages(run_id) == []


@pytest.mark.parametrize("emitted", [True, False], ids=["emitted", "admitted"])
async def test_an_event_wakes_who_waits_for_it(keeper, desk, emitted):
    writer = keeper.writer
    runs = {name: await desk.open(writer) for name in ("same", "any", "other", "type", "tenant")}

    def wait(changes):
        changes.waiters += [
            _waiter(desk, runs["same"]),
            _waiter(desk, runs["any"], None, key="wait/any"),
            _waiter(desk, runs["other"], "order-2"),
            _waiter(desk, runs["type"], type="shipped"),
            _waiter(desk, runs["tenant"], namespace="tenant"),
        ]

    await desk.commit(writer, wait)
    event = desk.event(data=b'{"amount": 12, "lines": [1, null]}', time_us=1_500_000_000_000_000)
    if emitted:
        flushed = await desk.commit(writer, lambda c: c.events.append(event))
        woken = flushed.woken
    else:
        seen = []
        writer.on_flush(seen.append)
        assert (await desk.admit(writer, event=event)).status == "accepted"
        await desk.open(writer)
        woken = seen[0].woken
    assert set(woken) == {runs["same"], runs["any"]}
    (message,) = await keeper.reader.messages(runs["same"])
    assert (message.message_id, message.kind, message.name) == ("event:https://shop.example:e", "event", "wait/1")
    assert msgspec.msgpack.decode(message.body) == {
        "id": "e",
        "source": "https://shop.example",
        "type": "paid",
        "subject": "order-1",
        "time": "2017-07-14T02:40:00.000000Z",
        "data": {"amount": 12, "lines": [1, None]},
    }
    (message,) = await keeper.reader.messages(runs["any"])
    assert message.name == "wait/any"
    for name in ("other", "type", "tenant"):
        assert await keeper.reader.messages(runs[name]) == []
    assert await keeper.reader.event("default", "e") == event


async def test_an_event_without_a_subject_wakes_only_who_asks_for_any(keeper, desk):
    writer = keeper.writer
    named, anybody = await desk.open(writer), await desk.open(writer)
    await desk.commit(writer, lambda c: c.waiters.extend([_waiter(desk, named), _waiter(desk, anybody, None)]))
    flushed = await desk.commit(writer, lambda c: c.events.append(desk.event(subject=None)))
    assert flushed.woken == (anybody,)


@pytest.mark.parametrize("subject", ["*", "=order", ""])
async def test_a_subject_is_compared_as_it_is(keeper, desk, subject):
    writer = keeper.writer
    run_id = await desk.open(writer)
    await desk.commit(writer, lambda c: c.waiters.append(_waiter(desk, run_id, subject)))
    flushed = await desk.commit(writer, lambda c: c.events.append(desk.event(subject="order-1")))
    assert flushed.woken == ()
    flushed = await desk.commit(writer, lambda c: c.events.append(desk.event("f", subject=subject)))
    assert flushed.woken == (run_id,)


async def test_an_event_that_came_first_is_found_by_looking_back(keeper, desk):
    writer = keeper.writer
    run_id = await desk.open(writer)
    since_us = desk.clock.at_us
    await desk.admit(writer, event=desk.event("too-early", received_us=since_us - 1))
    await desk.admit(writer, event=desk.event("b", received_us=since_us))
    await desk.admit(writer, event=desk.event("a", received_us=since_us + 1))
    await desk.admit(writer, event=desk.event("other", subject="order-2", received_us=since_us + 1))
    flushed = await desk.commit(writer, lambda c: c.waiters.append(_waiter(desk, run_id, since_us=since_us)))
    assert flushed.woken == (run_id,)
    found = [m.message_id for m in await keeper.reader.messages(run_id)]
    assert found == ["event:https://shop.example:b", "event:https://shop.example:a"]


async def test_looking_back_is_bounded_and_gives_the_oldest(keeper, desk):
    writer = keeper.writer
    run_id = await desk.open(writer)
    events = [desk.event(f"e{at:03}", received_us=1000 + at) for at in range(130)]
    await desk.commit(writer, lambda c: c.events.extend(events))
    await desk.commit(writer, lambda c: c.waiters.append(_waiter(desk, run_id)))
    found = [m.message_id[-4:] for m in await keeper.reader.messages(run_id)]
    assert found == [f"e{at:03}" for at in range(100)]


async def test_an_event_in_the_batch_of_its_waiter_is_found(keeper, desk):
    writer = keeper.writer
    run_id = await desk.open(writer)

    def fill(changes):
        changes.waiters.append(_waiter(desk, run_id, since_us=desk.clock.at_us))
        changes.events.append(desk.event())

    flushed = await desk.commit(writer, fill)
    assert flushed.woken == (run_id,)
    assert len(await keeper.reader.messages(run_id)) == 1


async def test_who_gave_up_waiting_is_not_woken(keeper, desk):
    writer = keeper.writer
    before, within = await desk.open(writer), await desk.open(writer)
    await desk.commit(writer, lambda c: c.waiters.append(_waiter(desk, before)))

    def fill(changes):
        changes.waiters.append(_waiter(desk, within))
        changes.waiters_gone += [(before, "wait/1"), (within, "wait/1")]
        changes.events.append(desk.event())

    flushed = await desk.commit(writer, fill)
    assert flushed.woken == ()
    flushed = await desk.commit(writer, lambda c: c.events.append(desk.event("later")))
    assert flushed.woken == ()


async def test_waiters_outlive_a_restart(keeper, desk, reopen):
    run_id = await desk.open(keeper.writer)
    await desk.commit(keeper.writer, lambda c: c.waiters.append(_waiter(desk, run_id)))
    again = await reopen()
    flushed = await desk.commit(again.writer, lambda c: c.events.append(desk.event()))
    assert flushed.woken == (run_id,)


async def test_an_event_that_matches_many_in_one_batch(keeper, desk):
    """More rows than any one statement takes, with events and waiters of many subjects."""
    writer = keeper.writer
    rows = [desk.row() for _ in range(700)]

    def fill(changes):
        changes.opened.extend(rows)
        changes.waiters += [_waiter(desk, row.run_id, f"order-{at}") for at, row in enumerate(rows)]

    await desk.commit(writer, fill)
    events = [desk.event(f"e{at}", subject=f"order-{at}") for at in range(0, 700, 2)]
    flushed = await desk.commit(writer, lambda c: c.events.extend(events))
    assert set(flushed.woken) == {row.run_id for row in rows[::2]}
    seen = await asyncio.gather(*(keeper.reader.messages(row.run_id) for row in rows[:4]))
    assert [len(messages) for messages in seen] == [1, 0, 1, 0]
    # All of them are taken and given up again in one go.
    taken = [(row.run_id, f"event:https://shop.example:e{at}") for at, row in enumerate(rows) if at % 2 == 0]
    gone = [(row.run_id, "wait/1") for row in rows]
    await desk.commit(writer, lambda c: (c.taken.extend(taken), c.waiters_gone.extend(gone)))
    assert await keeper.reader.messages(rows[0].run_id) == []
    flushed = await desk.commit(writer, lambda c: c.events.append(desk.event("late", subject="order-1")))
    assert flushed.woken == ()


@pytest.mark.parametrize("data", [b"", b"{not json", b'{"big": 123456789012345678901234567890}', b"\xff"])
async def test_an_event_is_delivered_whatever_its_data_looks_like(keeper, desk, data):
    writer = keeper.writer
    run_id = await desk.open(writer)
    await desk.commit(writer, lambda c: c.waiters.append(_waiter(desk, run_id)))
    await desk.commit(writer, lambda c: c.events.append(desk.event(data=data)))
    (message,) = await keeper.reader.messages(run_id)
    seen = msgspec.msgpack.decode(message.body)
    text = data.decode("utf-8", "replace")
    # What no text begins with is taken for encrypted, and stays bytes where the keeper makes the message.
    assert seen["data"] in ((data, text) if data[:1] == b"\xff" else (text,)) if data else seen["data"] is None
    assert (await keeper.reader.event("default", "e")).data == data


async def test_signals_that_a_closed_run_never_took_are_listed(keeper, desk):
    run_id = await desk.open(keeper.writer)
    await desk.admit(keeper.writer, messages=[desk.message(run_id, "taken")])
    await desk.admit(keeper.writer, messages=[desk.message(run_id, "late")])
    event = Message(run_id, "event:x", "event", "go", b"\xc0", desk.clock.at_us)
    await desk.admit(keeper.writer, messages=[event])

    def close(changes):
        changes.taken.append((run_id, "taken"))
        changes.ended.append(Ended(run_id, Outcome.COMPLETED, desk.clock.at_us))

    await desk.commit(keeper.writer, close)
    assert [message.message_id for message in await keeper.reader.messages(run_id)] == ["late"]
    late = await desk.admit(keeper.writer, messages=[desk.message(run_id, "after")])
    assert late.status == "closed"
