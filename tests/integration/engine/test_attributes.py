"""Search attributes as workflows say them: over restarts, in forks, within their bounds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rco.engine.attributes import Attributes
from rco.engine.forking import ForkAsk
from rco.model.attribute import attribute, attribute_filter, shown
from rco.model.run import Mode, Outcome
from rco.store.contract.reader import RunFilter
from rco.workflow import Context, workflow


async def said(node: Any, run_id: bytes) -> dict[str, Any]:
    found = await node.keeper.reader.attributes([run_id])
    return {one.name: shown(one) for one in found.get(run_id, ())}


async def found(node: Any, text: str) -> list[bytes]:
    where = RunFilter(attributes=(attribute_filter(text),))
    return [row.run_id for row in await node.keeper.reader.runs(where)]


def note() -> str:
    return "noted"


@workflow
async def order(ctx: Context, given: Any) -> str:
    await ctx.attribute("customer", given)
    await ctx.attribute("amount", 20.5)
    await ctx.attribute("due", datetime(2026, 12, 24, tzinfo=UTC))
    await ctx.attribute("stage", "new")
    await ctx.step(note)
    await ctx.signal("paid")
    await ctx.attribute("stage", None)
    await ctx.attribute("customer", "other")
    return "done"


async def test_what_a_run_says_is_found_after_a_restart_and_when_it_is_closed(node):
    await node.start(order)
    run_id = await node.open(order, "c-7", attributes=(attribute("channel", "web"),))
    await node.until(lambda: found(node, "stage=new"))
    await node.again(order)
    assert await said(node, run_id) == {
        "amount": 20.5,
        "channel": "web",
        "customer": "c-7",
        "due": "2026-12-24T00:00:00.000000Z",
        "stage": "new",
    }
    await node.signal(run_id, "paid")
    assert (await node.end(run_id)).outcome is Outcome.COMPLETED
    assert await found(node, "customer=other") == [run_id]
    assert await found(node, "stage=new") == await found(node, "customer=c-7") == []


async def test_a_fork_has_those_of_what_it_copies(node):
    await node.start(order)
    run_id = await node.open(order, "c-7", attributes=(attribute("channel", "web"),))
    await node.signal(run_id, "paid")
    await node.end(run_id)
    row = await node.keeper.reader.run(run_id)
    forked = await node.engine.fork(row, ForkAsk(step="note"))
    assert (await said(node, forked.run_id)).items() >= {"customer": "c-7", "channel": "web", "stage": "new"}.items()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("1x", "v", "not the name"),
        ("x" * 65, "v", "not the name"),
        ("x", "ü" * 129, "longer than 256"),
        ("x", "a\0b", "no text"),
        ("x", 2**53 + 1, "a number up to"),
        ("x", float("nan"), "a number up to"),
        ("x", {"a": 1}, "give a text"),
        ("x", datetime(2026, 1, 1), "with its zone"),  # noqa: DTZ001
    ],
)
async def test_what_cannot_be_an_attribute_is_misuse(node, name, value, why):
    @workflow
    async def wrong(ctx: Context, _: Any) -> None:
        await ctx.attribute(name, value)

    await node.start(wrong)
    run_id = await node.open(wrong)

    async def blocked() -> bool:
        row = await node.keeper.reader.run(run_id)
        return row.mode is Mode.BLOCKED and why.encode() in row.detail

    await node.until(blocked)


async def test_a_run_has_at_most_32(node):
    @workflow
    async def many(ctx: Context, count: int) -> None:
        for index in range(count):
            await ctx.attribute(f"n{index % count}", index)
            await ctx.attribute(f"n{index % count}", index)

    await node.start(many)
    assert (await node.run(many, 32)).outcome is Outcome.COMPLETED
    run_id = await node.open(many, 33)

    async def blocked() -> bool:
        row = await node.keeper.reader.run(run_id)
        return row.mode is Mode.BLOCKED and b"more than 32" in row.detail

    await node.until(blocked)


async def test_the_planted_bug_of_a_record_without_its_projection_is_found(node, monkeypatch):
    monkeypatch.setattr(Attributes, "arm", _only_the_record)
    await node.start(order)
    run_id = await node.open(order, "c-7")
    await node.signal(run_id, "paid")
    await node.end(run_id)
    assert await found(node, "customer=other") == []


def _only_the_record(self: Any, live: Any, op: Any) -> None:
    from rco.engine.attributes import _body
    from rco.model.journal import Kind, Record

    owner = self._owner
    owner.append(live, Record(Kind.ATTRIBUTE, op.key, owner.clock.now_us(), op.fp, _body(op.attribute)))
