"""Search attributes: written with the record that says them, compared as what they are, kept while the run is."""

from __future__ import annotations

import pytest

from rco.model.attribute import Attribute, Type, attribute, attribute_filter
from rco.model.run import Mode, Outcome
from rco.store.contract.attributes import AttributeChange
from rco.store.contract.changes import Ended
from rco.store.contract.reader import RunFilter


def change(row, name, value):
    return AttributeChange(row.run_id, row.namespace, attribute(name, value))


async def found(keeper, *texts, **more):
    where = RunFilter(attributes=tuple(attribute_filter(text) for text in texts), **more)
    rows = await keeper.reader.runs(where)
    assert await keeper.reader.count_runs(where) == len(rows)
    return [row.run_id for row in rows]


@pytest.fixture
async def three(keeper, desk):
    """Runs of customers c-1, c-2 and c-1, with amounts 5, 50 and 500, opened with them."""
    rows = []
    for customer, amount in (("c-1", 5), ("c-2", 50), ("c-1", 500)):
        said = (attribute("customer", customer), attribute("amount", amount))
        rows.append(desk.row(attributes=said))
        await desk.commit(keeper.writer, lambda c, row=rows[-1]: c.opened.append(row))
    return rows


async def test_runs_are_found_newest_first(keeper, three):
    first, second, third = (row.run_id for row in three)
    assert await found(keeper, "customer=c-1") == [third, first]
    assert await found(keeper, "customer:c-2") == [second]
    assert await found(keeper, "customer=c-1", "amount>=100") == [third]
    assert await found(keeper, "amount>5", "amount<500") == [second]
    assert await found(keeper, "amount<=5") == [first]
    assert await found(keeper, "customer=c-1", after=third) == [first]
    assert await found(keeper, "customer=c-9") == []
    assert await found(keeper, "nothing=c-1") == []
    assert await found(keeper, "customer=c-1", namespace="other") == []
    assert await found(keeper, "customer=c-1", mode=Mode.PARKED) == []


async def test_a_row_that_is_read_is_as_it_was_without(keeper, three):
    assert (await keeper.reader.run(three[0].run_id)).attributes == ()


async def test_values_are_what_they_are(keeper, desk):
    rows = [desk.row() for _ in range(4)]
    at = attribute_filter("due=2026-11-21T10:00:00Z")

    def fill(c):
        c.opened += rows
        c.attributes += [
            change(rows[0], "x", "7"),
            change(rows[1], "x", 7),
            change(rows[2], "x", True),
            AttributeChange(rows[3].run_id, "default", Attribute("due", Type.TIME, None, 1_795_255_200e6)),
            change(rows[3], "x", "ü' OR 1=1 --"),
        ]

    await desk.commit(keeper.writer, fill)
    assert set(await found(keeper, "x=7")) == {rows[0].run_id, rows[1].run_id}
    assert await found(keeper, "x>6") == [rows[1].run_id]
    assert await found(keeper, "x=true") == [rows[2].run_id]
    assert await found(keeper, "x=ü' OR 1=1 --") == [rows[3].run_id]
    assert await found(keeper, "due=2026-11-21T11:20:00+00:00", "x=ü' OR 1=1 --") == []
    assert await found(keeper, "due>=2026-01-01T00:00:00Z", "due<2027-01-01T00:00:00Z") == [rows[3].run_id]
    assert at.op == "="


async def test_the_last_word_counts_and_none_takes_it_away(keeper, desk):
    row = desk.row(attributes=(attribute("stage", "new"), attribute("left", 1)))

    def begin(c):
        c.opened.append(row)
        c.attributes += [change(row, "stage", "paid"), change(row, "stage", "sent")]

    await desk.commit(keeper.writer, begin)
    assert await found(keeper, "stage=sent") == [row.run_id]
    assert await found(keeper, "stage=new") == await found(keeper, "stage=paid") == []

    def go_on(c):
        c.attributes += [change(row, "left", 2), change(row, "left", None), change(row, "stage", 3)]

    await desk.commit(keeper.writer, go_on)
    assert await found(keeper, "left=1") == await found(keeper, "stage=sent") == []
    assert await found(keeper, "stage=3") == [row.run_id]
    assert await keeper.reader.attributes([row.run_id]) == {row.run_id: [attribute("stage", 3)]}


async def test_of_runs_by_name(keeper, three):
    said = await keeper.reader.attributes([row.run_id for row in three[:2]] + [bytes(16)])
    assert said == {
        three[0].run_id: [attribute("amount", 5), attribute("customer", "c-1")],
        three[1].run_id: [attribute("amount", 50), attribute("customer", "c-2")],
    }
    assert await keeper.reader.attributes([]) == {}


async def test_closed_runs_keep_them(keeper, desk, three):
    row = three[0]
    ended = Ended(row.run_id, Outcome.FAILED, row.opened_us + 5, b"{}")
    await desk.commit(keeper.writer, lambda c: c.ended.append(ended))
    assert row.run_id in await found(keeper, "customer=c-1")
    assert await found(keeper, "customer=c-1", outcome=Outcome.FAILED) == [row.run_id]
    assert row.run_id in await keeper.reader.attributes([row.run_id])


async def test_an_admission_that_is_refused_leaves_none(keeper, desk, three):
    row = desk.row(attributes=(attribute("customer", "c-7"),))
    taken = desk.row(key="k")
    from rco.store.contract.changes import StartKey

    key = StartKey("default", "k", b"r", taken.run_id)
    await desk.admit(keeper.writer, start_keys=[key], opened=[(taken, b"\0\0\0\1\xc0")])
    other = StartKey("default", "k", b"s", row.run_id)
    admitted = await desk.admit(keeper.writer, start_keys=[other], opened=[(row, b"\0\0\0\1\xc0")])
    assert admitted.status == "conflict"
    assert await found(keeper, "customer=c-7") == []
