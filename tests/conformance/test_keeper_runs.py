"""Open runs, parked runs, closed runs, and the lists of them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from rco.errors import Conflict
from rco.model.journal import Kind, Record, decode_segment, encode_record
from rco.model.letter import DeadLetter
from rco.model.principal import Principal, Role
from rco.model.run import Mode, Outcome, fork_prefix
from rco.store.contract.changes import Ended, Moved, StartKey, Waiter
from rco.store.contract.reader import RunFilter

START_US = 1_800_000_000_000_000


async def test_a_row_comes_back_as_it_went_in(keeper, desk):
    row = desk.row(
        namespace="tenant",
        version="b3:beef",
        key="order/1",
        parent=desk.id(),
        corr_id="corr-12345",
        detail=b'{"why": "new"}',
    )
    await desk.commit(keeper.writer, lambda c: c.opened.append(row))
    assert await keeper.reader.run(row.run_id) == row
    ended = Ended(row.run_id, Outcome.CANCELLED, row.opened_us + 5, b'{"reason": "asked"}')
    await desk.commit(keeper.writer, lambda c: c.ended.append(ended))
    closed = await keeper.reader.run(row.run_id)
    assert (closed.mode, closed.outcome, closed.closed_us, closed.detail) == (
        Mode.CLOSED,
        Outcome.CANCELLED,
        row.opened_us + 5,
        b'{"reason": "asked"}',
    )
    same = ("run_id", "namespace", "workflow", "version", "key", "parent", "corr_id", "opened_us")
    assert [getattr(closed, name) for name in same] == [getattr(row, name) for name in same]
    assert await keeper.reader.run(desk.id()) is None


async def test_parking_sets_a_due_time_and_leaving_it_removes_it(keeper, desk):
    writer, reader = keeper.writer, keeper.reader
    first, second, third = [await desk.open(writer) for _ in range(3)]

    def park(changes):
        changes.moved += [
            Moved(first, Mode.PARKED, 300),
            Moved(second, Mode.PARKED, 100),
            Moved(third, Mode.PARKED, None, b'{"waits": "signal"}'),
        ]

    await desk.commit(writer, park)
    assert await reader.due(1000, 10) == [(100, second), (300, first)]
    assert await reader.due(300, 10) == [(100, second)]
    assert await reader.due(1000, 1) == [(100, second)]
    assert (await reader.run(third)).detail == b'{"waits": "signal"}'
    assert {row.run_id for row in await reader.open_runs(Mode.PARKED, None, 10)} == {first, second, third}
    await desk.commit(writer, lambda c: c.moved.extend([Moved(second, Mode.PARKED, 400), Moved(first, Mode.HOT)]))
    assert await reader.due(1000, 10) == [(400, second)]
    assert (await reader.run(first)).mode is Mode.HOT
    await desk.commit(writer, lambda c: c.moved.append(Moved(second, Mode.PARKED)))
    assert await reader.due(1000, 10) == []


async def test_as_many_due_runs_are_told_as_were_asked_for(keeper, desk):
    """Pages of lists are bounded. Were these, an owner would take a full page for the last one and look again half a
    minute later."""
    many = 1_100
    run_ids = [await desk.open(keeper.writer) for _ in range(many)]
    await desk.commit(keeper.writer, lambda c: c.moved.extend([Moved(run_id, Mode.PARKED, 100) for run_id in run_ids]))
    assert len(await keeper.reader.due(1000, 10_000)) == many
    assert len(await keeper.reader.due(1000, many - 1)) == many - 1


async def test_the_last_of_several_moves_in_one_batch_stands(keeper, desk):
    run_id = await desk.open(keeper.writer)

    def fill(changes):
        changes.moved += [Moved(run_id, Mode.PARKED, 100), Moved(run_id, Mode.HOT), Moved(run_id, Mode.BLOCKED)]

    await desk.commit(keeper.writer, fill)
    assert (await keeper.reader.run(run_id)).mode is Mode.BLOCKED
    assert await keeper.reader.due(1000, 10) == []


async def test_due_times_outlive_a_restart(keeper, desk, reopen):
    run_id = await desk.open(keeper.writer)
    await desk.commit(keeper.writer, lambda c: c.moved.append(Moved(run_id, Mode.PARKED, 100)))
    again = await reopen()
    assert await again.reader.due(1000, 10) == [(100, run_id)]
    await desk.commit(again.writer, lambda c: c.moved.append(Moved(run_id, Mode.HOT)))
    assert await again.reader.due(1000, 10) == []


async def test_closing_removes_everything_but_the_journal(keeper, desk):
    writer, reader = keeper.writer, keeper.reader
    run_id, bystander = await desk.open(writer), await desk.open(writer)

    def load(changes):
        for one in (run_id, bystander):
            changes.messages.append(msgspec.structs.replace(desk.message(one), kind="event"))
            changes.waiters.append(Waiter(one, "wait/1", "default", "paid", None, 0))
            changes.moved.append(Moved(one, Mode.PARKED, 100))

    await desk.commit(writer, load)
    await desk.commit(writer, lambda c: c.ended.append(Ended(run_id, Outcome.COMPLETED, 9)))
    assert await reader.messages(run_id) == []
    assert await reader.due(1000, 10) == [(100, bystander)]
    assert sum((await reader.count_open()).values()) == 1
    assert len(await reader.journal(run_id)) == 1
    flushed = await desk.commit(writer, lambda c: c.events.append(desk.event()))
    assert flushed.woken == (bystander,)
    assert len(await reader.messages(bystander)) == 2


async def test_a_run_may_open_and_close_in_one_batch(keeper, desk):
    row = desk.row()

    def fill(changes):
        changes.opened.append(row)
        changes.drafts.append(desk.draft(row.run_id, 0, b"start", b"close"))
        changes.moved.append(Moved(row.run_id, Mode.PARKED, 5))
        changes.waiters.append(Waiter(row.run_id, "w", "default", "paid", None, 0))
        changes.ended.append(Ended(row.run_id, Outcome.COMPLETED, 9))

    await desk.commit(keeper.writer, fill)
    assert (await keeper.reader.run(row.run_id)).outcome is Outcome.COMPLETED
    assert sum((await keeper.reader.count_open()).values()) == 0
    assert await keeper.reader.due(1000, 10) == []
    flushed = await desk.commit(keeper.writer, lambda c: c.events.append(desk.event()))
    assert flushed.woken == ()


async def test_runs_that_an_emitted_event_starts_begin_with_their_first_segment(keeper, desk):
    row = desk.row()

    def fill(changes):
        changes.opened.append(row)
        changes.opened_segments.append((row.run_id, b"start"))

    await desk.commit(keeper.writer, fill)
    assert [(s.first_seq, s.data) for s in await keeper.reader.journal(row.run_id)] == [(0, b"start")]


async def test_a_journal_reads_back_in_order(keeper, desk):
    run_id = await desk.open(keeper.writer)
    other = await desk.open(keeper.writer)
    seq = 1
    for size in (1, 3, 2):
        parts = [b"r%d;" % (seq + at) for at in range(size)]

        def fill(changes, seq=seq, parts=parts):
            changes.drafts += [desk.draft(other, seq, b"x"), desk.draft(run_id, seq, *parts)]

        await desk.commit(keeper.writer, fill)
        seq += size
    segments = await keeper.reader.journal(run_id)
    assert [(s.first_seq, s.data) for s in segments] == [
        (0, b"start"),
        (1, b"r1;"),
        (2, b"r2;r3;r4;"),
        (5, b"r5;r6;"),
    ]
    assert await keeper.reader.journal(desk.id()) == []


@pytest.fixture
async def crowd(keeper, desk):
    """Nine runs: odd ones of another workflow, every third closed, one of those failed."""
    rows = []
    for at in range(9):
        desk.clock.at_us += 1000
        rows.append(desk.row(workflow="refunds" if at % 2 else "orders", corr_id=f"corr-{at // 2}"))
    stranger = desk.row(namespace="tenant")
    await desk.commit(keeper.writer, lambda c: c.opened.extend([*rows, stranger]))

    def close(changes):
        for at in (0, 3, 6):
            outcome = Outcome.FAILED if at == 3 else Outcome.COMPLETED
            changes.ended.append(Ended(rows[at].run_id, outcome, desk.clock.at_us))
        changes.moved.append(Moved(rows[1].run_id, Mode.PARKED, 5))

    await desk.commit(keeper.writer, close)
    return [row.run_id for row in rows]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"workflow": "refunds"}, [7, 5, 3, 1]),
        ({"mode": Mode.PARKED}, [1]),
        ({"mode": Mode.CLOSED}, [6, 3, 0]),
        ({"outcome": Outcome.COMPLETED}, [6, 0]),
        ({"outcome": Outcome.FAILED}, [3]),
        ({"outcome": Outcome.FAILED, "workflow": "orders"}, []),
        ({"outcome": Outcome.FAILED, "mode": Mode.HOT}, []),
        ({"corr_id": "corr-3"}, [7, 6]),
        ({"corr_id": "corr-3", "mode": Mode.CLOSED}, [6]),
        ({"limit": 2}, [8, 7]),
        ({"limit": 0}, []),
    ],
)
async def test_lists_are_newest_first_and_filtered(keeper, crowd, where, expected):
    found = await keeper.reader.runs(RunFilter(**where))
    assert [crowd.index(row.run_id) for row in found] == expected


async def test_pages_meet_without_gap_or_overlap(keeper, crowd):
    seen: list[int] = []
    after = None
    while page := await keeper.reader.runs(RunFilter(limit=2, after=after)):
        assert len(page) <= 2
        seen += [crowd.index(row.run_id) for row in page]
        after = page[-1].run_id
    assert seen == [8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_open_runs_are_paged_upwards(keeper, crowd):
    first = await keeper.reader.open_runs(Mode.HOT, None, 3)
    assert [crowd.index(row.run_id) for row in first] == [2, 4, 5]
    rest = await keeper.reader.open_runs(Mode.HOT, first[-1].run_id, 10)
    assert [crowd.index(row.run_id) for row in rest if row.namespace == "default"] == [7, 8]


async def test_events_of_one_microsecond_are_paged_without_a_gap(keeper, desk):
    ids = [f"e{at}" for at in range(7)]
    await desk.commit(keeper.writer, lambda c: c.events.extend(desk.event(id, received_us=1000) for id in ids[:4]))
    # Received before the others, and committed after them: nodes do not wait for each other.
    await desk.commit(keeper.writer, lambda c: c.events.extend(desk.event(id, received_us=999) for id in ids[4:]))
    for type in (None, "paid"):
        seen, after = [], None
        while page := await keeper.reader.events("default", type, after, 3):
            seen += [event.id for _, event in page]
            after = page[-1][0]
        assert seen == [*ids[3::-1], *ids[:3:-1]]


async def test_events_and_letters_are_paged_newest_first(keeper, desk):
    events = [desk.event(f"e{at}", type="paid" if at % 2 else "shipped", received_us=1000 + at) for at in range(6)]
    await desk.commit(keeper.writer, lambda c: c.events.extend(events))
    reader = keeper.reader
    first = await reader.events("default", None, None, 2)
    assert [e.id for _, e in first] == ["e5", "e4"]
    assert [e.id for _, e in await reader.events("default", None, first[1][0], 2)] == ["e3", "e2"]
    assert [e.id for _, e in await reader.events("default", "paid", first[0][0], 9)] == ["e3", "e1"]
    assert await reader.events("tenant", None, None, 9) == []
    assert await reader.event("default", "nobody") is None
    letters = [
        DeadLetter(letter_id=desk.id(), event=event, subscription="s", cause="full", at_us=5) for event in events[:3]
    ]
    await desk.commit(keeper.writer, lambda c: c.letters.extend(letters))
    await desk.commit(keeper.writer, lambda c: c.letters_replayed.append((letters[1].letter_id, 77)))
    assert await reader.letters("default", False, 10) == [letters[2], letters[0]]
    assert await reader.letters("default", False, 1) == [letters[2]]
    assert await reader.letters("default", False, 10, letters[2].letter_id) == [letters[0]]
    assert await reader.letters("default", False, 10, letters[0].letter_id) == []
    assert await reader.letters("default", True, 10, letters[1].letter_id) == []
    (replayed,) = await reader.letters("default", True, 10)
    assert (replayed.letter_id, replayed.replayed_us, replayed.event) == (letters[1].letter_id, 77, events[1])
    assert await reader.letter(desk.id()) is None


async def test_principals_are_found_by_their_token_and_replaced_by_their_id(keeper, desk):
    reader = keeper.reader
    admin = Principal(principal_id="p-1", name="root", role=Role.ADMIN)
    await reader.add_principal(admin, b"a" * 32)
    await reader.add_principal(Principal(principal_id="p-2", name="eye", role=Role.VIEWER), b"b" * 32)
    assert await reader.principal(b"a" * 32) == admin
    assert await reader.principal(b"x" * 32) is None
    changed = Principal(principal_id="p-1", name="root", role=Role.OPERATOR, namespace="tenant")
    await reader.add_principal(changed, b"c" * 32)
    assert await reader.principal(b"a" * 32) is None
    assert await reader.principal(b"c" * 32) == changed
    assert [one.principal_id for one in await reader.principals()] == ["p-1", "p-2"]
    with pytest.raises(Conflict):
        await reader.add_principal(changed, b"b" * 32)
    # Somebody's mistake must not stop the node.
    assert await reader.principal(b"c" * 32) == changed
    await asyncio.wait_for(desk.open(keeper.writer), 10)


async def test_forks_are_found_by_the_run_they_are_of(keeper, desk):
    one, other = desk.id(), desk.id()
    kept = [desk.row(), desk.row(), desk.row()]
    keys = [f"{fork_prefix(one)}b", f"{fork_prefix(one)}a: z_%", f"{fork_prefix(other)}a"]

    def put(changes):
        for key, row in zip([*keys, "fork:", f"{fork_prefix(one)[:-1]};"], [*kept, kept[0], kept[0]], strict=True):
            changes.start_keys.append(StartKey("default", key, b"r" * 32, row.run_id))
        changes.start_keys.append(StartKey("tenant", keys[0], b"r" * 32, kept[2].run_id))

    await desk.commit(keeper.writer, put)
    assert await keeper.reader.forks("default", one, 10) == [kept[1].run_id, kept[0].run_id]
    assert await keeper.reader.forks("default", one, 1) == [kept[1].run_id]
    assert await keeper.reader.forks("default", other, 10) == [kept[2].run_id]
    assert await keeper.reader.forks("default", kept[0].run_id, 10) == []


async def test_a_run_may_begin_with_many_records(keeper, desk):
    row = desk.row()
    records = [Record(Kind.START, "", 1, b"", {"workflow": "orders"}), Record(Kind.STATE, "s", 2, b"", ["n", 1])]
    opened = [(row, b"".join(map(encode_record, records)))]
    assert (await desk.admit(keeper.writer, opened=opened)).status == "accepted"
    (segment,) = await keeper.reader.journal(row.run_id)
    assert (segment.first_seq, decode_segment(segment.data)) == (0, records)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [5, 4, 3, 2, 1, 0]),
        ({"users_only": True}, [4, 3, 2, 1, 0]),
        ({"code": "call_failed"}, [1, 0]),
        ({"code": "call_failed", "outcome": Outcome.FAILED, "workflow": "orders"}, [1, 0]),
        ({"code": "code changed", "mode": Mode.BLOCKED}, [3]),
        ({"code": "call"}, []),
        ({"text": "NO STOCK"}, [1]),
        ({"text": "key-4"}, [4]),
        ({"text": "corr-2"}, [2]),
        ({"text": "50%_"}, [2]),
        ({"text": "'"}, []),
        ({"opened_from_us": START_US + 2000, "opened_to_us": START_US + 5000}, [3, 2, 1]),
        ({"opened_from_us": START_US + 9000}, []),
        ({"mode": Mode.HOT, "outcome": Outcome.FAILED}, []),
    ],
)
async def test_runs_are_counted_and_found_by_time_code_and_text(keeper, desk, where, expected):
    rows = []
    for at in range(6):
        desk.clock.at_us += 1000
        name = "rco.bulk" if at == 5 else "orders"
        key = f"Key-{at}" if at == 4 else None
        rows.append(desk.row(workflow=name, corr_id=f"corr-{at}", opened_us=desk.clock.at_us, key=key))
    await desk.commit(keeper.writer, lambda c: c.opened.extend(rows))

    def put(changes):
        now = desk.clock.at_us
        for at, detail in enumerate(
            (
                b'{"error":{"code":"call_failed","kind":"HttpStatus","message":"503"}}',
                b'{"error":{"code":"call_failed","kind":"HttpStatus","message":"no stock \\u0000"}}',
                b'{"error":{"code":"error","kind":"ValueError","message":"50%_ off"}}',
            )
        ):
            changes.ended.append(Ended(rows[at].run_id, Outcome.FAILED, now, detail))
        changes.moved.append(Moved(rows[3].run_id, Mode.BLOCKED, None, b'{"cause":"code changed","message":"m"}'))

    await desk.commit(keeper.writer, put)
    ids = [row.run_id for row in rows]
    found = await keeper.reader.runs(RunFilter(**where))
    assert [ids.index(row.run_id) for row in found] == expected
    assert await keeper.reader.count_runs(RunFilter(**where, limit=1)) == len(expected)
    if expected:
        after = RunFilter(**where, after=found[0].run_id)
        assert await keeper.reader.count_runs(after) == len(expected) - 1
