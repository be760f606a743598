"""A step that commits with the user's rows is killed at every point around that commit: its rows are there once, and
the result that the run goes on with is the one that was committed with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crash.door import Busy, Unknown
from tests.crash.verdict import until_closed
from tests.crash.world import Downstream, NodeWorld, Zygote
from tests.servers.postgres import PostgresServer

from rco.datasource.schema import outbox, steps

pytestmark = pytest.mark.timeout(60)

POINTS = [
    *(f"datasource.{point}" for point in ("claimed", "function-done", "kept", "before-commit", "after-commit")),
    *("engine.attempt-done/pay", "engine.end-collected/pay"),
    *("commit.before-begin/STEP_END", "commit.before-commit/STEP_END", "commit.after-commit/STEP_END"),
]
CASES = [("sqlite", point) for point in POINTS]
CASES += [("postgres", point) for point in POINTS if not point.startswith("commit.")]  # those are points of SQLite
LATE = {"after-commit", "attempt-done/pay", "end-collected/pay", "before-begin/STEP_END", "before-commit/STEP_END"}
"""Between the two commits."""


class ShopWorld(NodeWorld):
    """A node whose workflows commit to a database of the user's, which never dies."""

    def __init__(
        self, folder: Path, downstream: Downstream, zygote: Zygote, server: PostgresServer, *, store: str = ""
    ) -> None:
        super().__init__(folder, downstream, zygote)
        self._server = server
        self.name = server.database()
        server.run_script(
            self.name,
            "CREATE TABLE paid (number bigint GENERATED ALWAYS AS IDENTITY, order_id text);" + steps() + outbox(),
        )
        self.environ["SHOP_DSN"] = server.dsn(self.name)
        text = self.config.read_text()
        app = json.dumps(str(Path(__file__).with_name("app.py")))
        text = text.replace(app, json.dumps(str(Path(__file__).with_name("shop.py"))))
        text += "databases: {shop: {dsn: 'env:SHOP_DSN'}}\noutboxes: {shop: {database: shop, poll: 100ms, batch: 10}}\n"
        if store:
            text += f"store: {{path: {json.dumps(store)}, lease_ttl: 2s, heartbeat: 400ms, lease_margin: 400ms}}\n"
        self.config.write_text(text)

    def query(self, sql: str) -> list[Any]:
        return self._server.query(self.name, sql)


@pytest.fixture
async def world(
    request: pytest.FixtureRequest,
    keeper: str,
    tmp_path: Path,
    downstream: Downstream,
    zygote: Zygote,
    postgres_server: PostgresServer,
) -> AsyncIterator[ShopWorld]:
    store = request.getfixturevalue("postgres_dsn") if keeper == "postgres" else ""
    made = ShopWorld(tmp_path, downstream, zygote, postgres_server, store=store)
    yield made
    await made.stop()


async def buy(world: ShopWorld, order: str) -> str:
    """Start until it is acknowledged."""
    while True:
        try:
            run_id, _ = await (await world.door()).start("buy", order, f"key-{order}")
            return run_id
        except (Unknown, Busy):
            await asyncio.sleep(0.02)


async def killed_at(world: ShopWorld, point: str) -> tuple[str, int]:
    """The run, and how many rows there were when the node was dead."""
    await world.start(f"{point}:1")
    asking = asyncio.create_task(buy(world, "o-1"))
    await world.death()
    await asyncio.sleep(0)
    rows = len(world.query("SELECT * FROM paid"))
    await world.start()
    run_id = await asking
    await until_closed(world)
    return run_id, rows


@pytest.mark.parametrize(("keeper", "point"), CASES)
async def test_killed_at(point: str, world: ShopWorld) -> None:
    _, before = await killed_at(world, point)
    if point.partition(".")[2] in LATE:
        assert before == 1, "it was to die between the two commits"
    paid = world.query("SELECT number, order_id FROM paid")
    assert len(paid) == 1, f"{len(paid)} rows after a kill at {point}:\n{world.tail()}"
    (record,) = world.query("SELECT attempt, result FROM rco.rco_step")
    assert b"o-1" in record["result"]


async def test_the_planted_bug_of_a_step_without_a_record_is_found(
    tmp_path: Path, downstream: Downstream, zygote: Zygote, postgres_server: PostgresServer
) -> None:
    world = ShopWorld(tmp_path, downstream, zygote, postgres_server)
    world.environ["CRASH_PLANT"] = "step-without-record"
    try:
        await killed_at(world, "datasource.after-commit")
        assert len(world.query("SELECT * FROM paid")) == 2
    finally:
        await world.stop()
