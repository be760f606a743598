"""Quotas: asked in the commit that admits, over all that write, never of what was accepted."""

from __future__ import annotations

import asyncio
import os

import pytest

from rco.kit.ids import Ids
from rco.model.decision import Verb
from rco.model.message import Message
from rco.model.namespace import NamespaceRow, NamespaceState, Quotas
from rco.model.run import Outcome
from rco.store.contract.changes import Admitted, Changes, Claim, Ended, StartKey
from rco.store.contract.namespaces import RECOUNT_EVERY_US
from rco.store.contract.payloads import PayloadUse, UserKind
from rco.store.contract.schedules import ScheduleRow, ScheduleWrite

DAY_US = 86_400_000_000


@pytest.fixture
def bound(keeper):
    async def set_quotas(state: NamespaceState = NamespaceState.ACTIVE, **quotas: int) -> None:
        known = {row.name: row for row in await keeper.reader.namespaces()}
        before = known.get("acme")
        row = NamespaceRow(
            name="acme",
            state=state,
            quotas=Quotas(**quotas),
            created_us=7,
            revision=0 if before is None else before.revision + 1,
        )
        assert await keeper.reader.put_namespace(row, None if before is None else before.revision)
        keeper.writer.watch(frozenset({"acme"}))

    return set_quotas


async def start(keeper, desk, namespace: str = "acme", **more: object) -> tuple[Admitted, bytes]:
    row = desk.row(namespace=namespace, **more)
    admitted = await desk.admit(keeper.writer, opened=[(row, b"x" * 10)], accepted=[desk.decision("w", Verb.START)])
    return admitted, row.run_id


async def end(keeper, desk, run_id: bytes) -> None:
    await desk.commit(
        keeper.writer, lambda changes: changes.ended.append(Ended(run_id, Outcome.COMPLETED, desk.clock.at_us))
    )


async def test_namespaces_are_put_in_once_and_changed_from_what_they_were(keeper) -> None:
    reader = keeper.reader
    assert [row.name for row in await reader.namespaces()] == ["default"]
    row = NamespaceRow(name="acme", quotas=Quotas(open_runs=3), created_us=5)
    assert await reader.put_namespace(row, None)
    assert not await reader.put_namespace(NamespaceRow(name="acme", created_us=6), None)
    closed = NamespaceRow(name="acme", created_us=5, state=NamespaceState.CLOSED, revision=1, origin="config")
    assert await reader.put_namespace(closed, 0)
    assert not await reader.put_namespace(NamespaceRow(name="acme", created_us=5, revision=1), 0)
    assert [row for row in await reader.namespaces() if row.name == "acme"] == [closed]


async def test_open_runs_never_exceed_and_room_comes_back(keeper, desk, bound) -> None:
    await start(keeper, desk)
    await bound(open_runs=3)
    # What was there before there was a quota counts.
    told = [await start(keeper, desk) for _ in range(4)]
    assert [one.status for one, _ in told] == ["accepted", "accepted", "quota", "quota"]
    assert (told[2][0].quota, told[2][0].namespace) == ("open_runs", "acme")
    assert told[2][0].retry_after_s > 0
    assert await keeper.reader.run(told[2][1]) is None
    await end(keeper, desk, told[0][1])
    desk.clock.at_us += RECOUNT_EVERY_US
    assert [(await start(keeper, desk))[0].status for _ in range(2)] == ["accepted", "quota"]
    assert (await keeper.reader.namespace_usage("acme")).open_runs == 3
    # Another namespace is not concerned.
    assert (await start(keeper, desk, "default"))[0].status == "accepted"


async def test_many_at_once_are_let_in_up_to_the_bound(keeper, desk, bound) -> None:
    await bound(open_runs=7)
    told = await asyncio.gather(*(start(keeper, desk) for _ in range(20)))
    assert [one.status for one, _ in told].count("accepted") == 7


async def test_a_refusal_stands_in_the_chain_and_nothing_else_of_it(keeper, desk, bound) -> None:
    await bound(open_runs=0)
    claim = Claim(b"c" * 32, "corr", desk.clock.at_us + 1_000_000)
    row = desk.row(namespace="acme")
    event = desk.event(namespace="acme")
    refused = await desk.admit(
        keeper.writer,
        claim=claim,
        event=event,
        opened=[(row, b"x")],
        start_keys=[StartKey("acme", "k", b"r" * 32, row.run_id)],
        letters=[],
        accepted=[desk.decision("w", Verb.START)],
    )
    assert refused.status == "quota"
    head = await keeper.reader.head()
    said = head.decisions.decode()
    assert '"refuse"' in said
    assert "quota open_runs" in said
    assert '"start"' not in said
    assert await keeper.reader.key_holder("acme", "k") is None
    assert await keeper.reader.event("acme", event.id) is None
    await bound(open_runs=1)
    assert (await desk.admit(keeper.writer, claim=claim, opened=[(row, b"x")])).status == "accepted"


async def test_starts_in_a_second_and_in_a_day(keeper, desk, bound) -> None:
    await bound(starts_per_s=2, starts_per_day=5)
    told = []
    for _ in range(3):
        told += [(await start(keeper, desk))[0] for _ in range(3)]
        desk.clock.at_us += 1_000_000
    assert [one.quota for one in told] == ["", "", "starts_per_s", "", "", "starts_per_s", "", *["starts_per_day"] * 2]
    assert 0 < told[-1].retry_after_s <= 86_400
    # A clock that is behind counts in the second that was reached.
    desk.clock.at_us -= 5_000_000
    assert (await start(keeper, desk))[0].quota == "starts_per_day"
    desk.clock.at_us += DAY_US
    assert (await start(keeper, desk))[0].status == "accepted"


async def test_events_in_a_day_and_the_bytes_that_are_kept(keeper, desk, bound) -> None:
    await bound(events_per_day=2, stored_bytes=55)
    data = b"1" * 15

    async def come(at: str) -> Admitted:
        return await desk.admit(
            keeper.writer, event=desk.event(at, namespace="acme", data=data), accepted=[desk.decision()]
        )

    assert [(await come(at)).quota for at in "abc"] == ["", "", "events_per_day"]
    desk.clock.at_us += DAY_US
    assert (await come("d")).status == "accepted"
    refused = await desk.admit(keeper.writer, event=desk.event("e", namespace="acme", data=data))
    assert (refused.quota, refused.retry_after_s) == ("stored_bytes", 0.0)
    # The input of a start is a payload too: ten bytes are left.
    assert (await start(keeper, desk))[0].status == "accepted"
    assert (await start(keeper, desk))[0].quota == "stored_bytes"
    assert (await keeper.reader.namespace_usage("acme")).stored_bytes == 55


async def test_the_size_of_one_payload(keeper, desk, bound) -> None:
    await bound(payload_bytes=10)
    assert (await start(keeper, desk))[0].status == "accepted"
    large = desk.event("e", namespace="acme", data=b"1" * 11)
    assert (await desk.admit(keeper.writer, event=large, accepted=[desk.decision()])).quota == "payload_bytes"


async def test_schedules_are_counted_and_their_ticks_are_never_refused(keeper, desk, bound) -> None:
    await bound(schedules=1, open_runs=0)

    def write(name: str, **more: object) -> ScheduleWrite:
        known = {"schedule_id": desk.id(), "namespace": "acme", "name": name, "origin": "api", "revision": 1}
        row = ScheduleRow(**(known | {"due_us": None, "rules": "", "body": b"b"}))  # type: ignore[arg-type]
        return ScheduleWrite(row=row, expect=None, **more)  # type: ignore[arg-type]

    one = write("one")
    assert (await desk.admit(keeper.writer, schedules=[one])).status == "accepted"
    refused = await desk.admit(keeper.writer, schedules=[write("two")])
    assert (refused.status, refused.quota) == ("quota", "schedules")
    row = desk.row(namespace="acme")
    ticked = ScheduleRow(
        schedule_id=one.row.schedule_id,
        namespace="acme",
        name="one",
        origin="api",
        revision=2,
        due_us=None,
        rules="",
        body=b"",
    )
    key = StartKey("acme", "tick", b"r" * 32, row.run_id)
    tick = await desk.admit(
        keeper.writer,
        keyed=[(key, row, b"x", desk.decision())],
        schedules=[ScheduleWrite(row=ticked, expect=1, owned=True)],
    )
    assert tick.status == "accepted"
    assert (await keeper.reader.namespace_usage("acme")).open_runs == 1
    gone = await desk.admit(keeper.writer, schedules=[ScheduleWrite(row=ticked, expect=2, gone=True)])
    assert gone.status == "accepted"
    assert (await desk.admit(keeper.writer, schedules=[write("two")])).status == "accepted"


async def test_what_accepted_work_does_by_itself_counts_and_is_not_refused(keeper, desk, bound) -> None:
    await bound(open_runs=1)
    _, parent = await start(keeper, desk)
    child = desk.row(namespace="acme", parent=parent)

    def open_child(changes: Changes) -> None:
        changes.opened.append(child)
        changes.drafts.append(desk.draft(child.run_id, 0, b"start"))

    await desk.commit(keeper.writer, open_child)
    assert await keeper.reader.run(child.run_id) is not None
    await end(keeper, desk, parent)
    desk.clock.at_us += RECOUNT_EVERY_US
    assert (await start(keeper, desk))[0].quota == "open_runs"


async def test_a_repeat_is_answered_where_there_is_no_room(keeper, desk, bound) -> None:
    await bound(open_runs=1)
    row = desk.row(namespace="acme")
    key = StartKey("acme", "k", b"r" * 32, row.run_id)
    assert (await desk.admit(keeper.writer, start_keys=[key], opened=[(row, b"x")])).status == "accepted"
    again = desk.row(namespace="acme")
    same = StartKey("acme", "k", b"r" * 32, again.run_id)
    repeated = await desk.admit(keeper.writer, start_keys=[same], opened=[(again, b"x")])
    assert (repeated.status, repeated.run_id) == ("duplicate", row.run_id)


async def test_a_closed_namespace_takes_nothing_new_and_its_runs_go_on(keeper, desk, bound) -> None:
    await bound()
    _, run_id = await start(keeper, desk)
    await bound(NamespaceState.CLOSED)
    assert (await start(keeper, desk))[0].quota == "closed"
    event = desk.event(namespace="acme")
    assert (await desk.admit(keeper.writer, event=event)).quota == "closed"
    assert (await desk.admit(keeper.writer, messages=[desk.message(run_id)])).status == "accepted"
    await end(keeper, desk, run_id)
    assert (await keeper.reader.run(run_id)).outcome is Outcome.COMPLETED


async def test_the_services_own_runs_are_not_the_tenants(keeper, desk, bound) -> None:
    await bound(open_runs=0)
    assert (await start(keeper, desk, workflow="rco.bulk"))[0].status == "accepted"
    assert (await keeper.reader.namespace_usage("acme")).open_runs == 0


async def test_two_nodes_have_one_count(home, desk, clock) -> None:
    """On PostgreSQL, where two nodes write at once: what both let in together is what there is room for."""
    if home.name != "postgres":
        pytest.skip("one node owns the database")
    nodes = [home.keeper("node-1"), home.keeper("node-2")]
    for node in nodes:
        await node.start()
    try:
        row = NamespaceRow(name="acme", quotas=Quotas(open_runs=25, starts_per_s=30), created_us=1)
        assert await nodes[0].reader.put_namespace(row, None)
        for node in nodes:
            node.writer.watch(frozenset({"acme"}))
        ids = Ids(clock)

        async def one(node, at: int) -> str:
            run_id = ids.uuid7(node.ownership.place(at % 256))
            opened = desk.row(run_id, namespace="acme")
            admission, future = desk.admission(opened=[(opened, b"x")], accepted=[desk.decision()])
            node.writer.changes(run_id[15]).admissions.append(admission)
            return (await future).quota

        for _ in range(200):
            if all(node.ownership.shards() for node in nodes):
                break
            await asyncio.sleep(0.05)
        told = await asyncio.gather(*(one(node, at) for at in range(40) for node in nodes if node.ownership.shards()))
        assert told.count("") == 25
        assert (await nodes[1].reader.namespace_usage("acme")).open_runs == 25
    finally:
        for node in nodes:
            await node.stop()


async def test_what_is_kept_by_reference_counts_at_its_size_and_once(keeper, desk, bound) -> None:
    await bound(stored_bytes=1000)
    one, other, third = (os.urandom(16) for _ in range(3))

    async def large(name: bytes, size_bytes: int, *, again: bool = False) -> Admitted:
        row = desk.row(namespace="acme")
        uses = [PayloadUse(name, UserKind.RUN, row.run_id, "acme", size_bytes, again)]
        # As the engine hands them over: with what asks for them, and to be written.
        keeper.writer.changes(0).payloads.extend(uses)
        return await desk.admit(keeper.writer, opened=[(row, b"x" * 10)], payloads=uses)

    assert (await large(one, 900)).status == "accepted"
    assert (await keeper.reader.namespace_usage("acme")).stored_bytes == 910
    refused = await large(other, 100)
    assert (refused.status, refused.quota) == ("quota", "stored_bytes")
    # Another run that refers to the same object takes its own row alone.
    assert (await large(one, 900, again=True)).status == "accepted"
    assert (await keeper.reader.namespace_usage("acme")).stored_bytes == 920
    # Counted anew it is the same, and what was refused counts for nothing.
    await keeper.reader.recount_namespaces(["acme"])
    assert (await large(third, 50)).status == "accepted"
    assert (await keeper.reader.namespace_usage("acme")).stored_bytes == 980
    # What accepted work keeps by itself counts, and is not refused.
    run_id = await desk.open(keeper.writer, namespace="acme")

    def fill(changes: Changes) -> None:
        changes.payloads.append(PayloadUse(os.urandom(16), UserKind.RUN, run_id, "acme", 5000))
        changes.decisions.append(desk.decision())

    await desk.commit(keeper.writer, fill)
    assert (await large(os.urandom(16), 1)).quota == "stored_bytes"


async def test_one_payload_by_reference_is_as_large_as_it_is(keeper, desk, bound) -> None:
    await bound(payload_bytes=100)
    event = desk.event("e-1", namespace="acme")
    use = PayloadUse(os.urandom(16), UserKind.EVENT, b"e-1", "acme", 101)
    keeper.writer.changes(0).payloads.append(use)
    assert (await desk.admit(keeper.writer, event=event, payloads=[use])).quota == "payload_bytes"
    use = PayloadUse(os.urandom(16), UserKind.EVENT, b"e-1", "acme", 100)
    keeper.writer.changes(0).payloads.append(use)
    assert (await desk.admit(keeper.writer, event=event, payloads=[use])).status == "accepted"


async def test_what_is_sent_to_an_accepted_run_is_bounded_by_size_and_not_by_a_closed_door(keeper, desk, bound) -> None:
    await bound()
    _, run_id = await start(keeper, desk)

    async def send(size_bytes: int) -> Admitted:
        use = PayloadUse(os.urandom(16), UserKind.RUN, run_id, "acme", size_bytes)
        keeper.writer.changes(0).payloads.append(use)
        message = Message(run_id, os.urandom(4).hex(), "signal", "go", b"\xc0", desk.clock.at_us, "acme")
        return await desk.admit(keeper.writer, messages=[message], payloads=[use])

    await bound(NamespaceState.CLOSED, stored_bytes=500)
    assert (await send(400)).status == "accepted"
    assert (await send(400)).quota == "stored_bytes"
