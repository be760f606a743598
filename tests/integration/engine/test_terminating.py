"""Terminated in whatever state: closed at once, without its code, with who and why; and a replay of it stands."""

from __future__ import annotations

import asyncio

import pytest

from rco.engine.options import EngineOptions
from rco.engine.program import Programs
from rco.engine.rehearsing import rehearse
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.workflow import Context, workflow

undone: list[str] = []


async def hangs() -> None:
    await asyncio.sleep(3600)


async def undo(ctx: Context) -> None:
    undone.append("undone")


@workflow
async def doubtful(ctx: Context, given: None) -> None:
    ctx.compensate(undo)
    await ctx.step(hangs, name="pay", once=True, timeout_s=0.02)


@workflow
async def patient(ctx: Context, given: None) -> None:
    ctx.compensate(undo)
    await ctx.signal("go")


@workflow
async def sleeper(ctx: Context, given: None) -> None:
    ctx.compensate(undo)
    await ctx.sleep(3600)


@workflow
async def busy(ctx: Context, given: None) -> None:
    ctx.compensate(undo)
    await ctx.step(hangs, name="slow")


@workflow(name="patient")
async def changed(ctx: Context, given: None) -> None:
    await ctx.signal("something else")


@pytest.fixture
def options() -> EngineOptions:
    return EngineOptions(park_after_s=0.0)


async def reaches(node, run_id: bytes, mode: Mode) -> None:
    async def is_so() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is mode

    await node.until(is_so)


@pytest.mark.parametrize("state", [Mode.IN_DOUBT, Mode.PAUSED, Mode.PARKED, Mode.BLOCKED, Mode.HOT])
async def test_it_is_closed_at_once_without_its_code(node, state: Mode) -> None:
    undone.clear()
    code = {Mode.IN_DOUBT: doubtful, Mode.PARKED: sleeper, Mode.HOT: busy}.get(state, patient)
    await node.start(code)
    run_id = await node.open(code)
    if state is Mode.PAUSED:
        decision = Decision(verb=Verb.PAUSE, at_us=node.clock.now_us())
        await node.engine.pause(run_id, "why", "test", decision)
    if state is Mode.BLOCKED:
        await reaches(node, run_id, Mode.PARKED)
        await node.again(changed)
        node.engine.wake(run_id)
    await reaches(node, run_id, state)
    row = await node.keeper.reader.run(run_id)
    decision = Decision(verb=Verb.TERMINATE, at_us=node.clock.now_us(), actor="principal:ada", reason="enough")
    await node.engine.terminate(row, "enough", decision)
    finished = await node.end(run_id)
    assert finished.outcome is Outcome.TERMINATED
    assert finished.value == {
        "kind": "Terminated",
        "code": "terminated",
        "message": "enough",
        "actor": "principal:ada",
    }
    records = await node.journal(run_id)
    assert records[-1].kind == Kind.CLOSE
    assert not any(record.kind == Kind.COMPENSATE for record in records)
    assert undone == []
    closed = await node.keeper.reader.run(run_id)
    assert (closed.mode, closed.outcome) == (Mode.CLOSED, Outcome.TERMINATED)
    assert await node.keeper.reader.due(2**62, 10) == []
    node.workflows = [code]
    assert rehearse(Programs(*node.programs()), closed, records).fits
