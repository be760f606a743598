"""A node is killed while it reads an outbox, before and after the store has committed what an entry asks for: each
start and each signal happens once, in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.crash.test_transactional_steps import ShopWorld
from tests.crash.verdict import until_closed
from tests.crash.world import Downstream, Zygote
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.timeout(60)

POINTS = [f"outbox.{point}" for point in ("read", "entry-taken", "taken-out", "committed")]


@pytest.fixture
async def world(
    tmp_path: Path, downstream: Downstream, zygote: Zygote, postgres_server: PostgresServer
) -> AsyncIterator[ShopWorld]:
    made = ShopWorld(tmp_path, downstream, zygote, postgres_server)
    yield made
    await made.stop()


async def emptied(world: ShopWorld) -> None:
    async with asyncio.timeout(30):
        while world.query("SELECT 1 FROM rco_outbox.entry LIMIT 1"):
            await asyncio.sleep(0.05)
    await until_closed(world)


async def killed_twice(world: ShopWorld, point: str) -> list[object]:
    """The results of all runs, after a kill at the first passing of ``point`` and one at the fourth."""
    world.query("SELECT rco_outbox.start('order', '{\"count\": 0}') FROM generate_series(1, 5)")
    world.query("""SELECT rco_outbox.start('order', '{"count": 12}', key => 'g')""")
    world.query("SELECT rco_outbox.signal('go', to_jsonb(i), key => 'g') FROM generate_series(1, 12) AS i")
    await world.start(f"{point}:1")
    await world.death()
    await world.start(f"{point}:4")
    # A second one at a later passing, where there is one.
    async with asyncio.timeout(30):
        while not world.dead and world.query("SELECT 1 FROM rco_outbox.entry LIMIT 1"):
            await asyncio.sleep(0.02)
    if world.dead:
        await world.death()
        await world.start()
    await emptied(world)
    connection = sqlite3.connect(world.database)
    try:
        rows = connection.execute("SELECT detail FROM closed_run").fetchall()
    finally:
        connection.close()
    return sorted((msgspec.json.decode(row[0])["result"] for row in rows), key=str)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(point: str, world: ShopWorld) -> None:
    assert await killed_twice(world, point) == sorted([[]] * 5 + [list(range(1, 13))], key=str)
    assert not world.query("SELECT * FROM rco_outbox.dead_letter")


async def test_the_planted_bug_of_entries_that_are_not_recognised_is_found(world: ShopWorld) -> None:
    world.environ["CRASH_PLANT"] = "entries-without-identity"
    assert len(await killed_twice(world, "outbox.taken-out")) > 6
