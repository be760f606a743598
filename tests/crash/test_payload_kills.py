"""Killed at every point between a payload's put and the commit that refers to it: what is referred to is there, whole,
and what a death left behind is referred to by nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.door import Busy, PipeDoor, Said, Unknown
from tests.crash.verdict import until_closed
from tests.crash.world import Downstream, NodeWorld, Zygote
from tests.servers.postgres import PostgresServer

from rco.kit.digest import digest
from rco.model.payload import Reference
from rco.payloads.keeping import key_of
from rco.payloads.segments import references_of
from rco.store.opening import open_snapshot

pytestmark = pytest.mark.timeout(90)

PAD = "Vogon poetry " * 300
PUTS = range(1, 6)
"""The payloads of a run in the order in which they are put: input, then step, state and signal, then result."""
TRAPS = [
    *(f"payload.{point}:{nth}" for point in ("before-put", "put") for nth in PUTS),
    *(f"commit.{point}/{held}:1" for point in ("before-commit", "after-commit") for held in ("START", "STEP_END")),
    *(f"commit.{point}/{held}:1" for point in ("before-commit", "after-commit") for held in ("SENT", "CLOSE")),
    *(f"commit.{point}/STATE:1" for point in ("before-commit", "after-commit")),
]
CASES = [("sqlite", trap) for trap in TRAPS]
CASES += [("postgres", trap) for trap in TRAPS if trap.startswith("payload.put")]


class HeavyWorld(NodeWorld):
    """A node that keeps what is over 1 KiB in a folder."""

    def __init__(self, folder: Path, downstream: Downstream, zygote: Zygote, *, store: str = "") -> None:
        super().__init__(folder, downstream, zygote)
        self.where = store or str(self.database)
        self.repeated = 0
        """Requests that were asked again, as nobody had said what became of them."""
        self.objects = folder / "objects"
        text = self.config.read_text()
        app = json.dumps(str(Path(__file__).with_name("app.py")))
        text = text.replace(app, json.dumps(str(Path(__file__).with_name("large.py"))))
        text += f"payloads: {{object_store_over: 1KiB}}\nobjects: {{place: 'file:{self.objects}'}}\n"
        if store:
            text += f"store: {{path: {json.dumps(store)}, lease_ttl: 2s, heartbeat: 400ms, lease_margin: 400ms}}\n"
        self.config.write_text(text)

    def held(self) -> tuple[list[Reference], str]:
        """Every reference in every journal, and what the objects stand under."""
        with open_snapshot(self.where) as snapshot:
            found = [
                one
                for history in snapshot.histories()
                for segment in history.segments
                for one in references_of(segment.data)
            ]
            return found, snapshot.payload_space()

    def there(self) -> set[str]:
        return {path.name for path in self.objects.glob("payload/**/*") if path.is_file()}


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, keeper: str, tmp_path: Path, downstream: Downstream, zygote: Zygote
) -> AsyncIterator[HeavyWorld]:
    server: PostgresServer = request.getfixturevalue("postgres_server") if keeper == "postgres" else None
    made = HeavyWorld(tmp_path, downstream, zygote, store=server.dsn(server.database()) if server else "")
    yield made
    await made.stop()


async def insist(world: HeavyWorld, ask: Any) -> Any:
    """Ask until it is acknowledged."""
    while True:
        try:
            return await ask(await world.door())
        except (Unknown, Busy):
            world.repeated += 1
            await asyncio.sleep(0.02)


async def weigh(world: HeavyWorld, name: str) -> str:
    run_id, _ = await insist(world, lambda door: door.start("weigh", {"order": name, "pad": PAD}, f"key-{name}"))
    try:
        await insist(world, lambda door: door.signal(run_id, "more", {"pad": PAD}, f"more-{name}"))
    except Said as said:
        # Its first asking was taken, nobody said so, and the run closed by it: what closed it is looked at afterwards.
        if said.code != "not_found":
            raise
    return str(run_id)


async def killed_at(world: HeavyWorld, trap: str) -> str:
    await world.start(trap)
    asking = asyncio.create_task(weigh(world, "o-1"))
    await world.death()
    await world.start()
    run_id = await asking
    await until_closed(world)
    return run_id


@pytest.mark.parametrize(("keeper", "trap"), CASES)
async def test_killed_at(trap: str, world: HeavyWorld) -> None:
    run_id = await killed_at(world, trap)
    door = await world.door()
    assert isinstance(door, PipeDoor)
    view = await door.result(run_id)
    assert view["state"] == "completed", f"{view} after a kill at {trap}:\n{world.tail()}"
    assert view["result"] == {"order": "o-1", "pad": PAD, "more": {"pad": PAD}}
    await world.stop()
    held, space = world.held()
    assert len({one.name for one in held}) == len(PUTS)
    for one in held:
        data = (world.objects / key_of(space, one.name)).read_bytes()
        assert digest(data) == one.digest
    left = world.there() - {one.name.hex() for one in held}
    # Only a death between the two leaves anything behind, and no more than what was being put; and what a repeated
    # request brings along is put before it shows that it is one.
    assert len(left) <= 2 + world.repeated


async def test_the_planted_bug_of_a_reference_before_its_object_is_found(
    tmp_path: Path, downstream: Downstream, zygote: Zygote
) -> None:
    world = HeavyWorld(tmp_path, downstream, zygote)
    world.environ["CRASH_PLANT"] = "reference-before-object"
    try:
        await world.start("commit.after-commit/STEP_END:1")
        asking = asyncio.create_task(weigh(world, "o-2"))
        await world.death()
        asking.cancel()
        held, space = world.held()
        missing = [one for one in held if not (world.objects / key_of(space, one.name)).exists()]
        assert missing, "the bug was planted, and nothing is missing"
    finally:
        await world.stop()
