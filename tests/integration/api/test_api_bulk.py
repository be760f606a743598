"""Bulk: look first, then begin; durable, paced, stopped by failures, steered as a run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rco.errors import Forbidden, NotFound, Refused
from rco.model.principal import Principal, Role
from rco.model.wire import RunSelection
from rco.model.wire_bulk import BulkAsk, BulkView
from rco.operations.access import token_digest

FAILED = RunSelection(state="failed")


async def failing(served: Any, count: int) -> list[str]:
    ids = [(await served.operator.start("fail", number)).id for number in range(count)]
    for run_id in ids:
        await served.viewer.wait(run_id, timeout_s=10)
    return ids


async def ended(served: Any, bulk_id: str) -> BulkView:
    await served.viewer.wait(bulk_id, timeout_s=30)
    return await served.viewer.bulk_at(bulk_id)


async def test_a_preview_counts_and_changes_nothing(served) -> None:
    ids = await failing(served, 12)
    found = await served.operator.preview_bulk(FAILED)
    assert found.count == 12
    assert [run.id for run in found.sample] == ids[:1:-1]
    by_text = RunSelection(state="failed", text="NO luck", workflow="fail", code="step_failed")
    assert (await served.operator.preview_bulk(by_text)).count == 12
    assert (await served.operator.preview_bulk(RunSelection(state="failed", code="other"))).count == 0
    assert (
        await served.operator.preview_bulk(RunSelection(state="failed", opened_after="2100-01-01T00:00:00Z"))
    ).count == 0
    assert (await served.viewer.runs(state="completed")).items == []
    with pytest.raises(Refused, match="opened_before"):
        await served.operator.preview_bulk(RunSelection(state="failed", opened_before="soon"))
    with pytest.raises(Forbidden):
        await served.viewer.preview_bulk(FAILED)


async def test_every_run_is_retried_once_and_each_leaves_a_decision(served) -> None:
    ids = await failing(served, 7)
    started = await served.operator.bulk(BulkAsk(action="retry", where=FAILED, reason="target is back", key="k"))
    assert (await served.operator.bulk(BulkAsk(action="retry", where=FAILED, key="k"))).id == started.id
    at = await ended(served, started.id)
    assert (at.state, at.count, at.done, at.failed, at.ended) == ("completed", 7, 7, 0, "done")
    assert (await served.operator.preview_bulk(FAILED)).count in range(7, 15)
    told = await served.decisions()
    retried = [one["run"] for one in told if one["verb"] == "retry" and one["reason"] == f"bulk {started.id}"]
    assert sorted(retried) == sorted(ids)
    whole = [one for one in told if one["verb"] == "bulk"]
    assert [(one["actor"], one["reason"], one["facts"]["count"]) for one in whole] == [
        ("principal:operator", "began: target is back", 7),
        ("principal:operator", "done: target is back", 7),
    ]
    assert whole[1]["facts"]["done"] == 7


async def test_it_stops_when_too_many_fail(served) -> None:
    ids = [(await served.operator.start("ask", number)).id for number in range(6)]
    where = RunSelection(state="running", workflow="ask")
    # Runs that wait for a signal did not fail at a step.
    ask = BulkAsk(action="retry-step", where=where, stop_after_failures=2)
    at = await ended(served, (await served.operator.bulk(ask)).id)
    assert (at.done, at.failed, at.ended) == (0, 3, "stopped: more than 2 failed")
    assert [one.run_id for one in at.errors] == ids[:2:-1]
    assert "did not fail" in at.errors[0].message


async def test_paused_and_resumed_in_the_middle_it_goes_on(served) -> None:
    count = 40
    for number in range(count):
        await served.operator.start("ask", number)
    where = RunSelection(state="running", workflow="ask")
    started = await served.operator.bulk(BulkAsk(action="cancel", where=where, rate_per_s=10))
    async with asyncio.timeout(30):
        while not (await served.viewer.bulk_at(started.id)).done:
            await asyncio.sleep(0.02)
        await served.operator.pause(started.id)
        while (await served.viewer.run(started.id)).state != "paused":
            await asyncio.sleep(0.02)
        while (await served.viewer.bulk_at(started.id)).done != len(
            [run for run in (await served.viewer.runs(state="cancelled", limit=100)).items if run.workflow == "ask"]
        ):
            await asyncio.sleep(0.05)
    held = await served.viewer.bulk_at(started.id)
    assert 0 < held.done < count
    await served.operator.resume(started.id)
    at = await ended(served, started.id)
    assert (at.done, at.failed) == (count, 0)
    assert len((await served.viewer.runs(state="cancelled", limit=100)).items) == count


async def test_grants_that_are_taken_away_stop_it(served) -> None:
    for number in range(30):
        await served.operator.start("ask", number)
    where = RunSelection(state="running", workflow="ask")
    started = await served.operator.bulk(BulkAsk(action="cancel", where=where, rate_per_s=10))
    async with asyncio.timeout(30):
        while not (await served.viewer.bulk_at(started.id)).done:
            await asyncio.sleep(0.02)
    demoted = Principal(principal_id="operator", name="operator", role=Role.VIEWER)
    await served.service._desk.reader.add_principal(demoted, token_digest("another"))
    at = await ended(served, started.id)
    assert at.state == "failed"
    assert at.done < 30
    assert at.error is not None
    assert "may not do this any more" in at.error["message"]


async def test_who_may(served) -> None:
    with pytest.raises(Forbidden):
        await served.viewer.bulk(BulkAsk(action="retry", where=FAILED))
    with pytest.raises(NotFound):
        await served.operator.start("rco.bulk", {"action": "cancel"})
    run = await served.operator.start("greet", "x")
    with pytest.raises(NotFound, match="no bulk"):
        await served.viewer.bulk_at(run.id)
    assert "rco.bulk" not in (await served.viewer.info()).workflows
