"""Runs pinned to the code they began with, and the verified move to another version."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rco.engine.moving import MoveAsk, Moving, Tried
from rco.engine.options import EngineOptions
from rco.errors import NotFound
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind
from rco.model.run import Mode, Outcome
from rco.workflow import Context, workflow

did: list[str] = []


async def do(what: str) -> str:
    did.append(what)
    return what


def ship(send: str, version: str) -> Any:
    """Packs, waits for ``go``, sends by ``send``, waits for ``end``. Says which code it was that ended it."""

    @workflow(name="ship")
    async def code(ctx: Context, given: str) -> list[str]:
        told = [await ctx.step(do, f"{given} pack", name="pack")]
        await ctx.signal("go")
        told.append(await ctx.step(do, f"{given} {send}", name="send"))
        await ctx.signal("end")
        return [*told, version]

    return code


V1, V2 = ship("post", "v1"), ship("courier", "v2")


@pytest.fixture
def options() -> EngineOptions:
    return EngineOptions(park_after_s=0.0)


async def begin(node, **codes: Any) -> None:
    """Start with these versions in the pool, the last of which is the current one."""
    did.clear()
    node.versions = {name: code if isinstance(code, list) else [code] for name, code in codes.items()}
    await node.start()


async def again(node, **codes: Any) -> None:
    """The node is killed and started with these versions."""
    await node.stop()
    node.versions = {name: code if isinstance(code, list) else [code] for name, code in codes.items()}
    await node.start()


async def waits_for(node, run_id: bytes, name: str) -> None:
    async def is_so() -> bool:
        records = await node.journal(run_id)
        return any(record.kind == Kind.WAIT and (record.body or {}).get("signal") == name for record in records)

    await node.until(is_so)


async def version_of(node, run_id: bytes) -> str:
    return (await node.keeper.reader.run(run_id)).version


async def move(node, run_id: bytes, to: str = "@v2", name: str = "m") -> Tried:
    row = await node.keeper.reader.run(run_id)
    return await node.engine.move(row, MoveAsk(to=to, actor="test", move=name))


async def test_a_run_says_the_version_it_began_with_in_its_row_and_its_journal(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    assert await version_of(node, run_id) == "@v1"
    assert (await node.journal(run_id))[0].body["version"] == "@v1"


async def test_old_runs_go_on_with_old_code_beside_new_ones(node) -> None:
    await begin(node, v1=V1)
    old = await node.open("ship", "a")
    await waits_for(node, old, "go")
    await again(node, v1=V1, v2=V2)
    new = await node.open("ship", "b")
    for run_id in (old, new):
        await node.signal(run_id, "go")
        await node.signal(run_id, "end")
    assert (await node.end(old)).value == ["a pack", "a post", "v1"]
    assert (await node.end(new)).value == ["b pack", "b courier", "v2"]
    assert node.engine.stats().blocked == 0


async def test_a_run_whose_version_is_not_here_waits_untouched_and_loses_nothing(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    before = await node.journal(run_id)
    await again(node, v2=V2)
    await node.signal(run_id, "go")
    await node.signal(run_id, "end")
    other = await node.open("ship", "b")
    await waits_for(node, other, "go")
    row = await node.keeper.reader.run(run_id)
    assert row.mode in (Mode.HOT, Mode.PARKED)
    assert run_id not in node.engine._owner.live
    assert await node.journal(run_id) == before
    await again(node, v1=V1)
    node.engine.wake(run_id)
    assert (await node.end(run_id)).value == ["a pack", "a post", "v1"]


async def test_a_node_without_versions_takes_every_run(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    node.versions = {}
    await node.again(V1)
    await node.signal(run_id, "go")
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value[-1] == "v1"
    assert await version_of(node, run_id) == "@v1"


async def test_a_child_begins_with_its_parents_version(node) -> None:
    def family(word: str) -> list[Any]:
        @workflow(name="child")
        async def child(ctx: Context, given: None) -> str:
            return word

        @workflow(name="parent")
        async def parent(ctx: Context, given: None) -> list[str]:
            await ctx.signal("go")
            return [word, await ctx.child("child")]

        return [child, parent]

    await begin(node, v1=family("v1"))
    run_id = await node.open("parent")
    await waits_for(node, run_id, "go")
    await again(node, v1=family("v1"), v2=family("v2"))
    await node.signal(run_id, "go")
    assert (await node.end(run_id)).value == ["v1", "v1"]


# -- the verified move -----------------------------------------------------------------------------------------------


async def test_a_run_that_fits_goes_on_with_the_new_code(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    await again(node, v1=V1, v2=V2)
    assert (await move(node, run_id)).status == "moved"
    assert await version_of(node, run_id) == "@v2"
    records = await node.journal(run_id)
    assert records[-1].kind == Kind.VERSION
    assert records[-1].body == {"from": "@v1", "to": "@v2", "actor": "test", "move": "m"}
    await node.signal(run_id, "go")
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value == ["a pack", "a courier", "v2"]
    assert did.count("a pack") == 1


async def test_a_run_that_does_not_fit_stays_with_its_diff_and_goes_on_as_it_did(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await node.signal(run_id, "go")
    await waits_for(node, run_id, "end")
    await again(node, v1=V1, v2=V2)
    tried = await move(node, run_id)
    assert tried.status == "misfit"
    assert "'send'" in tried.why
    assert tried.diff["recorded"]["key"] == "send"
    assert await version_of(node, run_id) == "@v1"
    assert not any(record.kind == Kind.VERSION for record in await node.journal(run_id))
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value == ["a pack", "a post", "v1"]


async def test_trying_writes_nothing(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    await again(node, v1=V1, v2=V2)
    row, before = await node.keeper.reader.run(run_id), await node.journal(run_id)
    assert (await node.engine.try_move(row, "@v2")).status == "clean"
    assert await node.journal(run_id) == before
    with pytest.raises(NotFound, match="not on this node"):
        await node.engine._moving._programs.get("ship", "@v9")
    assert (await node.engine.try_move(row, "@v9")).status == "misfit"


async def test_a_parked_run_is_moved_without_being_loaded_and_keeps_its_timer(node) -> None:
    @workflow(name="nap")
    async def nap(ctx: Context, given: float) -> str:
        await ctx.sleep(given)
        return "woke"

    await begin(node, v1=nap)
    run_id = await node.open("nap", 3600.0)

    async def parked() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is Mode.PARKED and run_id not in node.engine._owner.live

    await node.until(parked)
    due = await node.keeper.reader.due(2**62, 10)
    await again(node, v1=nap, v2=nap)
    loaded = node.engine.stats().replayed
    assert (await move(node, run_id)).status == "moved"
    row = await node.keeper.reader.run(run_id)
    assert (row.version, row.mode) == ("@v2", Mode.PARKED)
    assert await node.keeper.reader.due(2**62, 10) == due
    assert node.engine.stats().replayed == loaded


async def test_a_run_with_an_attempt_under_way_is_moved_when_it_has_come_to_rest(node) -> None:
    going, gate = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        going.set()
        await gate.wait()
        return "done"

    @workflow(name="slow")
    async def code(ctx: Context, given: None) -> str:
        value = await ctx.step(slow, name="slow")
        await ctx.signal("end")
        return value

    await begin(node, v2=code, v1=code)
    run_id = await node.open("slow")
    await going.wait()
    moving = asyncio.create_task(move(node, run_id))
    await asyncio.sleep(0.1)
    assert await version_of(node, run_id) == "@v1"
    gate.set()
    assert (await moving).status == "moved"
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value == "done"
    assert sum(record.kind == Kind.STEP_END for record in await node.journal(run_id)) == 1


async def test_a_run_that_gets_on_between_trial_and_move_is_tried_again(node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes the changed place in that moment: moved on what was tried it would be blocked."""
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    await again(node, v1=V1, v2=V2)
    rehearsed = Moving.rehearsed
    times: list[bool] = []

    async def slow(self: Moving, row: Any, to: str) -> Any:
        found = await rehearsed(self, row, to)
        times.append(found[0].fits)
        if len(times) == 1:
            await node.signal(run_id, "go")
            await waits_for(node, run_id, "end")
        return found

    monkeypatch.setattr(Moving, "rehearsed", slow)
    assert (await move(node, run_id)).status == "misfit"
    assert times == [True, False]
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value == ["a pack", "a post", "v1"]


async def test_an_asking_that_is_older_than_a_move_and_one_back_moves_nothing(
    node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waited for the answer of the first asking, as what it read was slow. Asked again, the run was moved; and
    moved back since, by another request."""
    await begin(node, v2=V1, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    rehearsed = Moving.rehearsed
    times: list[str] = []

    async def slow(self: Moving, row: Any, to: str) -> Any:
        found = await rehearsed(self, row, to)
        times.append(to)
        if len(times) == 1:
            assert (await move(node, run_id, "@v2", "forth")).status == "moved"
            assert (await move(node, run_id, "@v1", "back")).status == "moved"
        return found

    monkeypatch.setattr(Moving, "rehearsed", slow)
    assert (await move(node, run_id, "@v2", "forth")).status == "moved"
    assert times == ["@v2", "@v2", "@v1", "@v2"]
    assert await version_of(node, run_id) == "@v1"
    moves = [record.body["move"] for record in await node.journal(run_id) if record.kind == Kind.VERSION]
    assert moves == ["forth", "back"]


async def test_mail_that_came_while_nobody_could_read_it_is_read_after_the_move(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    await node.until(lambda: run_id not in node.engine._owner.live)
    await again(node, v2=V2)
    await node.signal(run_id, "go")
    await node.signal(run_id, "end")
    assert (await move(node, run_id)).status == "moved"
    assert (await node.end(run_id)).value == ["a pack", "a courier", "v2"]


async def test_a_blocked_run_that_fits_the_new_version_goes_on(node) -> None:
    broken = ship("pigeon", "v0")
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await node.signal(run_id, "go")
    await waits_for(node, run_id, "end")
    await again(node, v1=broken)

    async def blocked() -> bool:
        return (await node.keeper.reader.run(run_id)).mode is Mode.BLOCKED

    node.engine.wake(run_id)
    await node.until(blocked)
    await again(node, v1=broken, v2=V1)
    assert (await move(node, run_id)).status == "moved"
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value == ["a pack", "a post", "v1"]


async def test_a_closed_run_and_one_of_another_version_are_gone(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    await again(node, v1=V1, v2=V2)
    row = await node.keeper.reader.run(run_id)
    assert (await node.engine.move(row, MoveAsk(to="@v2"))).status == "moved"
    # Asked again with what was known before.
    assert (await node.engine.move(row, MoveAsk(to="@v2"))).status == "gone"
    decision = Decision(verb=Verb.TERMINATE, at_us=0)
    # What was known before it was moved may be refused: it could be another node's by now.
    moved = await node.keeper.reader.run(run_id)
    await node.engine.terminate(moved, "enough", decision)
    assert (await node.end(run_id)).outcome is Outcome.TERMINATED
    assert (await node.engine.move(row, MoveAsk(to="@v2"))).status in ("gone", "misfit")


async def test_after_a_crash_a_moved_run_goes_on_with_the_version_it_was_moved_to(node) -> None:
    await begin(node, v1=V1)
    run_id = await node.open("ship", "a")
    await waits_for(node, run_id, "go")
    await again(node, v1=V1, v2=V2)
    await move(node, run_id)
    await again(node, v2=V2)
    await node.signal(run_id, "go")
    await node.signal(run_id, "end")
    assert (await node.end(run_id)).value == ["a pack", "a courier", "v2"]
