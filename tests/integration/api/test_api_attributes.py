"""Attributes over HTTP: declared with a start, listed, filtered by in lists and bulks, refused when they are none."""

from __future__ import annotations

import json

import pytest

from rco.errors import Refused
from rco.model.wire import RunSelection
from rco.model.wire_bulk import BulkAsk


async def test_declared_listed_and_filtered_by(served) -> None:
    one = await served.operator.start("greet", "a", attributes={"customer": "c-7", "amount": 20, "express": True})
    two = await served.operator.start("greet", "b", attributes={"customer": "c-7", "amount": 250.5})
    for started in (one, two):
        await served.viewer.wait(started.id, timeout_s=10)
    page = await served.viewer.runs(attributes=["customer=c-7"])
    assert [(run.id, run.attributes) for run in page.items] == [
        (two.id, {"amount": 250.5, "customer": "c-7"}),
        (one.id, {"amount": 20, "customer": "c-7", "express": True}),
    ]
    narrow = await served.viewer.runs(attributes=["customer:c-7", "amount>=100"])
    assert [run.id for run in narrow.items] == [two.id]
    assert (await served.viewer.run(one.id)).attributes["express"] is True
    status, _, body = await served.call("GET", "/v1/runs?attribute=customer:c-7&attribute=amount%3C100")
    assert (status, [run["id"] for run in json.loads(body)["items"]]) == (200, [one.id])


async def test_a_bulk_takes_those_that_are_found(served) -> None:
    for customer in ("c-1", "c-2"):
        started = await served.operator.start("fail", 1, attributes={"customer": customer})
        await served.viewer.wait(started.id, timeout_s=10)
    where = RunSelection(state="failed", attributes=["customer=c-2"])
    preview = await served.operator.preview_bulk(where)
    assert (preview.count, [run.id for run in preview.sample]) == (1, [started.id])
    bulk = await served.operator.bulk(BulkAsk(action="retry", where=where))
    await served.viewer.wait(bulk.id, timeout_s=30)
    assert (await served.viewer.bulk_at(bulk.id)).done == 1


@pytest.mark.parametrize("text", ["customer", "1x=2", "amount>=many", "=x", "a;drop table run=1"])
async def test_what_is_no_filter_is_refused(served, text: str) -> None:
    with pytest.raises(Refused, match="attribute"):
        await served.viewer.runs(attributes=[text])


@pytest.mark.parametrize(
    "attributes", [{"1x": "v"}, {"x": "y" * 257}, {"x": 2**60}, {f"n{index}": 1 for index in range(33)}]
)
async def test_what_is_no_attribute_is_refused(served, attributes) -> None:
    with pytest.raises(Refused):
        await served.operator.start("greet", "a", attributes=attributes)


async def test_at_most_eight_filters(served) -> None:
    with pytest.raises(Refused):
        await served.viewer.runs(attributes=["x=1"] * 9)
