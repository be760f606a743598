"""Pause and resume over HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from rco.errors import Conflict, Forbidden, NotFound


async def in_state(served, run_id: str, state: str) -> None:
    async with asyncio.timeout(10):
        while (await served.viewer.run(run_id)).state != state:
            await asyncio.sleep(0.01)


async def test_a_paused_run_keeps_what_comes_and_says_who_paused_it(served) -> None:
    started = await served.operator.start("ask")
    assert (await served.operator.pause(started.id, "customer called")).accepted
    await in_state(served, started.id, "paused")
    assert not (await served.operator.pause(started.id)).accepted
    await served.operator.signal(started.id, "answer", 42)
    held = await served.viewer.wait(started.id, timeout_s=0.1)
    assert (held.state, held.error) == (
        "paused",
        {"actor": "principal:operator", "cause": "paused", "message": "customer called"},
    )
    assert [run.id for run in (await served.viewer.runs(state="paused")).items] == [started.id]
    assert (await served.viewer.info()).open_runs["paused"] == 1
    await served.operator.resume(started.id, "settled")
    assert (await served.viewer.wait(started.id, timeout_s=10)).result == 42
    shown = await served.viewer.run(started.id)
    assert [entry.kind for entry in shown.timeline] == ["start", "wait", "pause", "resume", "close"]
    for steer in (served.operator.pause, served.operator.resume):
        with pytest.raises(Conflict, match="closed"):
            await steer(started.id)


async def test_what_needs_its_code_waits_for_the_resume(served) -> None:
    started = await served.operator.start("ask")
    await served.operator.pause(started.id)
    await in_state(served, started.id, "paused")
    for steer in (served.operator.cancel, served.operator.retry):
        with pytest.raises(Conflict, match="paused"):
            await steer(started.id)
    await served.operator.cancel(started.id, "enough", force=True)
    assert (await served.viewer.wait(started.id, timeout_s=10)).state == "terminated"


async def test_it_needs_an_operator_and_leaves_evidence(served) -> None:
    started = await served.operator.start("ask")
    for steer in (served.viewer.pause, served.viewer.resume):
        with pytest.raises(Forbidden):
            await steer(started.id)
    with pytest.raises(NotFound):
        await served.operator.pause("01980000-0000-7000-8000-000000000000")
    await served.operator.pause(started.id, "why")
    await in_state(served, started.id, "paused")
    lines = b"".join([piece async for piece in served.admin.export_audit()])
    decided = [
        one
        for line in lines.splitlines()
        if "decisions" in (told := json.loads(line))
        for one in told["decisions"]
        if one["verb"] == "pause"
    ]
    assert [(one["actor"], one["run"], one["reason"]) for one in decided] == [
        ("principal:operator", started.id, "why"),
    ]
