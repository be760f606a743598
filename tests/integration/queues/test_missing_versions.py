"""A turn of a run whose version is on no node goes back: others have theirs, and it has it when its version comes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.queues.conftest import Node
from tests.integration.scheduler.conftest import hang

from rco.engine.moving import MoveAsk
from rco.engine.program import Programs
from rco.engine.queueing import awaits_version
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.message import BEGIN
from rco.model.queue import ItemState, Queue
from rco.model.run import Mode, Outcome
from rco.model.version import pin
from rco.store.contract.queues import Counted
from rco.workflow.application import Application


class Versioned(Node):
    """A node with these versions, the last of which new runs are of. The queue has one permit."""

    queues = {"q": Queue(concurrency=1)}
    versions: tuple[str, ...] = ()

    def programs(self) -> Programs:
        pool = {
            pin(name): Application("test", ".", [hang]).programs(None, self.executor, version=pin(name))
            for name in self.versions
        }
        return Programs(pool[pin(self.versions[-1])], pool)

    async def announced(self) -> None:
        versions = {name: f"digest-{name}" for name in self.versions}
        assert await self.keeper.reader.announce(self.name, versions, self.versions[-1], 1) == {}

    async def again(self, *versions: str) -> None:
        """It stops and comes with these versions."""
        await self.stop()
        self.versions = versions
        await self.start()

    async def end(self, run_id: bytes) -> None:
        """Close a run that waits for a permit no longer than it takes."""
        await self.is_in(Mode.HOT, run_id)
        await self.go(run_id)
        assert (await self.engine.result(run_id, 20)).outcome is Outcome.COMPLETED

    async def end_all(self, *runs: bytes) -> None:
        """Close runs of which one at a time has the permit, in whatever order."""
        left = set(runs)

        async def begun() -> list[bytes]:
            return [run_id for run_id in left if await self.mode(run_id) is Mode.HOT]

        while left:
            for run_id in await self.until(begun):
                await self.end(run_id)
                left.discard(run_id)

    async def force(self, run_id: bytes) -> None:
        """Close it whether its code is here or not."""
        row = await self.keeper.reader.run(run_id)
        assert row is not None
        await self.engine.terminate(row, "enough", Decision(verb=Verb.TERMINATE, at_us=0))

    async def went_back(self, run_id: bytes) -> None:
        """Wait until a turn of the run has gone back, and look at what that left."""

        async def so() -> bool:
            row = await self.keeper.reader.run(run_id)
            return row is not None and awaits_version(row)

        await self.until(so)
        item = await self.keeper.reader.queue_item(run_id)
        assert item is not None
        assert (item.state, item.granted_us) == (ItemState.HELD, None)
        assert not [one for one in await self.keeper.reader.messages(run_id) if one.kind == BEGIN]

    async def turns(self, run_id: bytes) -> list[bool]:
        """Of each turn that the run had, and of each that went back, in their order, whether it is one."""
        return [one.allow for one in await self.decisions() if one.verb is Verb.DISPATCH and one.run == id_text(run_id)]


@pytest.fixture
def kind() -> type[Versioned]:
    return Versioned


@pytest.fixture
async def stranded(nodes: Any) -> tuple[Versioned, list[bytes], bytes]:
    """A node without v1; two runs of v1 whose turns went back; one of v2 that has the permit."""
    node = await nodes(versions=("v1",))
    first = await node.open()
    await node.is_in(Mode.HOT, first)
    old = [await node.open() for _ in range(2)]
    await node.again("v2")
    await node.force(first)
    for run_id in old:
        await node.went_back(run_id)
    new = await node.open()
    await node.is_in(Mode.HOT, new)
    assert await node.counted() == Counted("q", 0, 1, 2, None)
    return node, old, new


async def test_turns_that_nobody_can_take_do_not_stand_in_the_way(stranded: Any) -> None:
    node, old, new = stranded
    await node.end(new)
    await node.end(await node.open())
    assert [await node.turns(run_id) for run_id in old] == [[True, False]] * 2
    told = [one for one in await node.decisions() if one.verb is Verb.DISPATCH and not one.allow]
    assert {(one.reason, one.actor, one.facts["version"]) for one in told} == {("version missing", "queue:q", "v1")}


async def test_they_wait_again_and_have_their_turns_when_the_version_comes(stranded: Any) -> None:
    node, old, new = stranded
    later = await node.open()
    await node.again("v1", "v2")
    await node.is_in(Mode.QUEUED, *old)
    await node.end_all(new, *old, later)
    assert [await node.turns(run_id) for run_id in old] == [[True, False, True]] * 2
    assert await node.counted() == Counted("q", 0, 0, 0, None)
    # As often as that was asked, it was decided once each.
    resumed = [one.run for one in await node.decisions() if one.verb is Verb.RESUME]
    assert sorted(resumed) == sorted(map(id_text, old))


async def test_one_that_is_moved_to_a_version_that_is_there_waits_again(stranded: Any) -> None:
    node, old, new = stranded
    row = await node.keeper.reader.run(old[0])
    assert (await node.engine.move(row, MoveAsk(to="@v2", actor="test", move="m"))).status == "moved"
    await node.is_in(Mode.QUEUED, old[0])
    await node.end(new)
    await node.end(old[0])
    assert await node.counted() == Counted("q", 0, 0, 1, None)


async def test_what_was_paused_by_somebody_stays_so_when_the_version_comes(stranded: Any) -> None:
    node, old, new = stranded
    paused, resumed = old
    for verb, run_id in (("pause", paused), ("resume", resumed)):
        ask = node.engine.pause if verb == "pause" else node.engine.resume
        await ask(run_id, "why", "me", Decision(verb=Verb(verb), at_us=0))
    await node.is_in(Mode.QUEUED, resumed)
    await node.end(new)
    # Resumed by hand, it has its turn like anybody, which goes back like the first.
    await node.went_back(resumed)
    await node.again("v1", "v2")
    await node.end(resumed)
    assert await node.mode(paused) is Mode.PAUSED
    await node.engine.resume(paused, "why", "me", Decision(verb=Verb.RESUME, at_us=0))
    await node.end(paused)


async def test_it_is_cancelled_and_ended_as_any_that_waits(stranded: Any) -> None:
    node, old, _ = stranded
    await node.engine.cancel(old[0], "no", "me", Decision(verb=Verb.CANCEL, at_us=0))
    assert (await node.engine.result(old[0], 20)).outcome is Outcome.CANCELLED
    await node.force(old[1])
    assert await node.counted() == Counted("q", 0, 1, 0, None)


async def test_what_the_export_says_of_it_verifies(stranded: Any, tmp_path: Any) -> None:
    node, old, new = stranded
    await node.again("v1", "v2")
    await node.end_all(new, *old)
    rules = await node.verified(tmp_path / "export.jsonl")
    assert {rule: rules[rule].findings for rule in "fg"} == {"f": (), "g": ()}
    assert rules["g"].evidence == "6 turns of 1 keys"


@pytest.mark.parametrize("home", ["postgres"], indirect=True)
async def test_a_run_waits_while_the_only_node_with_its_version_is_away(nodes: Any) -> None:
    one, two = await nodes("node-1", versions=("v1",)), await nodes("node-2", versions=("v2",))

    async def shared() -> bool:
        return all(node.keeper.ownership.shards() for node in (one, two))

    await one.until(shared)
    runs = [await one.open() for _ in range(3)]
    await one.is_in(Mode.HOT, runs[0])
    await one.stop()
    # Its code has begun: that permit is taken, whoever is there.
    assert (await two.counted()).running == 1
    await two.force(runs[0])
    for run_id in runs[1:]:
        await two.went_back(run_id)
    new = await two.open()
    await two.is_in(Mode.HOT, new)
    await one.start()
    await two.is_in(Mode.QUEUED, *runs[1:])
    await two.end_all(new, *runs[1:])
    assert await one.counted() == Counted("q", 0, 0, 0, None)
