"""Nodes with different versions on one PostgreSQL, killed under load: each run is driven by its version, where that is.

Each attempt notes the process, the node and the version that made it, so that also what came to nothing is seen.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.crash.cluster import QUICK
from tests.crash.door import Busy, Unknown
from tests.crash.world import Downstream, ServeWorld
from tests.servers.postgres import PostgresServer

from rco.verify.check import check
from rco.verify.options import Options
from rco.verify.sources import read_export

pytestmark = pytest.mark.timeout(240)
SEED = 3
HAVE = {"n0": ("v1",), "n1": ("v1", "v2"), "n2": ("v2",)}
APP = """
import os
from rco.workflow import Backoff, Context, RetryPolicy, workflow

PATIENTLY = RetryPolicy(40, Backoff(first_s=0.05, cap_s=0.2))

async def noted(run, what):
    line = f"{run} {os.environ['POOL_NODE']} VERSION {what}\\n"
    file = os.open(os.environ["POOL_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
    return [os.environ["POOL_NODE"], "VERSION"]

@workflow
async def errand(ctx: Context, given):
    told = []
    for what in ("begin", "middle", "VERSION"):
        told.append(await ctx.step(noted, given["order"], what, name=what, policy=PATIENTLY))
        await ctx.sleep(given["rest_s"])
    if given["waits"]:
        await ctx.signal("go")
        told.append(await ctx.step(noted, given["order"], "end", name="end", policy=PATIENTLY))
    return told
"""


class Pools:
    """Three services, one with each row of ``HAVE``; new runs begin with the last of it."""

    def __init__(self, folder: Path, downstream: Downstream, server: PostgresServer) -> None:
        self.folder, self.server, self.name = folder, server, server.database()
        self.ledger = folder / "attempts"
        self.ledger.touch()
        self.chance = random.Random(SEED)
        for version in ("v1", "v2"):
            (folder / version).mkdir()
            (folder / version / "app.py").write_text(APP.replace("VERSION", version))
        self.nodes = {name: self._node(name, at, downstream) for at, name in enumerate(HAVE)}

    def _node(self, name: str, at: int, downstream: Downstream) -> ServeWorld:
        home = self.folder / name
        home.mkdir()
        store = {"path": self.server.dsn(self.name), "node": name, **QUICK}
        node = ServeWorld(home, downstream, door=at, store=store)
        apps = {version: str(self.folder / version / "app.py") for version in HAVE[name]}
        text = node.config.read_text().splitlines(keepends=True)
        kept = [line for line in text if not line.startswith("app:")]
        node.config.write_text("".join(kept) + f"apps: {json.dumps(apps)}\napp_version: {HAVE[name][-1]}\n")
        node._environ |= {"POOL_NODE": name, "POOL_LEDGER": str(self.ledger)}
        return node

    async def start(self, *names: str) -> None:
        token = self.nodes["n0"].folder / "data" / "admin.token"
        for name in names:
            beside = self.nodes[name].folder / "data" / "admin.token"
            if token.exists() and not beside.exists():
                beside.parent.mkdir(exist_ok=True)
                shutil.copy(token, beside)
            await self.nodes[name].start()

    async def open(self, name: str, number: int, waits: bool = False) -> str:
        """A run that begins with what is current on that node."""
        order = f"{name}-{number}"
        given = {"order": order, "rest_s": self.chance.choice((0.0, 0.05, 0.4)), "waits": waits}
        while True:
            try:
                return (await (await self.nodes[name].door()).start("errand", given, order))[0]
            except (Busy, Unknown):
                await asyncio.sleep(0.1)

    def ask(self, sql: str, *values: Any) -> list[Any]:
        return self.server.query(self.name, sql, *values)

    def open_by_version(self) -> dict[str, int]:
        return {row[0]: row[1] for row in self.ask("SELECT version, count(*) FROM run GROUP BY 1")}

    def attempts(self) -> list[tuple[str, str, str]]:
        """(order, node, version) of each."""
        lines = self.ledger.read_text().splitlines()
        return [(order, node, version) for order, node, version, _ in (line.split() for line in lines)]

    def export(self) -> Path:
        path = self.folder / "export.jsonl"
        command = [sys.executable, "-m", "rco", "export", "--store", self.server.dsn(self.name), "--out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return path

    async def end(self) -> None:
        for node in self.nodes.values():
            if not node.dead:
                await node.kill()
        await asyncio.to_thread(self.server.drop, self.name)


@pytest.fixture
async def pools(tmp_path: Path, downstream: Downstream, crash_server: PostgresServer) -> AsyncIterator[Pools]:
    world = Pools(tmp_path, downstream, crash_server)
    yield world
    await world.end()


async def until(done: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(done):
            await asyncio.sleep(0.1)


async def test_every_run_closes_where_its_version_is(pools: Pools) -> None:
    await pools.start("n0", "n1", "n2")
    orders: dict[str, str] = {}
    waiting: list[str] = []
    for number in range(12):
        for name in HAVE:
            waits = number % 3 == 0
            run_id = await pools.open(name, number, waits)
            orders[f"{name}-{number}"] = "v1" if name == "n0" else "v2"
            waiting += [run_id] if waits else []
    # The only one that has both; what it drove goes on on two different nodes.
    await pools.nodes["n1"].kill()
    for number in range(12, 16):
        for name in ("n0", "n2"):
            await pools.open(name, number)
            orders[f"{name}-{number}"] = "v1" if name == "n0" else "v2"
    await until(lambda: pools.open_by_version() == {"@v1": 4, "@v2": 8})
    # Nobody has v1 any more: its runs stay as they are, and what comes for them is kept.
    await pools.nodes["n0"].kill()
    door = await pools.nodes["n2"].door()
    for run_id in waiting:
        await door.signal(run_id, "go", None, f"go {run_id}")
    await until(lambda: pools.open_by_version() == {"@v1": 4})
    async with asyncio.timeout(30):
        while True:
            page = await door._client.versions()  # type: ignore[attr-defined]
            listed = {one.name: one for one in page.items}
            if not listed["v1"].nodes:
                break
            await asyncio.sleep(0.1)
    assert listed["v1"].open_runs == 4
    told = subprocess.run(
        [sys.executable, "-m", "rco", "doctor", "--store", pools.server.dsn(pools.name), "--json"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "4 of version v1" in told, told
    await pools.start("n0")
    await until(lambda: pools.open_by_version() == {})
    for order, node, version in pools.attempts():
        assert version == orders[order], f"{order} was driven by {version} on {node}"
        assert version in HAVE[node]
    closed = pools.ask("SELECT version, outcome, detail FROM closed_run")
    assert len(closed) == len(orders)
    for version, outcome, detail in closed:
        assert outcome == "completed", detail
        assert {f"@{by}" for _, by in json.loads(detail)["result"]} == {version}
    owners = dict(pools.ask("SELECT pool, array_agg(DISTINCT owner) FROM lease GROUP BY 1"))
    assert set(owners["@v1"]) == {"n0"}
    verdict = check(read_export(pools.export()), options=Options(heard_us=30_000_000, late_us=60_000_000))
    findings = {one.rule: one.findings for one in verdict.rules}
    assert not any(findings.values()), findings


async def test_a_rolling_deploy(pools: Pools) -> None:
    """The new version comes on nodes of its own; the old ones end when theirs have closed, and some before."""
    await pools.start("n0")
    old = [await pools.open("n0", number, waits=True) for number in range(6)]
    await pools.start("n2")
    new = [await pools.open("n2", number, waits=True) for number in range(6)]
    # Whoever is asked, each signal gets to the node that has the code.
    doors = [await pools.nodes[name].door() for name in ("n0", "n2")]
    for number, run_id in enumerate([*old[:4], *new]):
        await doors[number % 2].signal(run_id, "go", None, f"go {run_id}")
    await until(lambda: pools.open_by_version() == {"@v1": 2})
    # The old node ends before its last runs have: they wait, and are terminated by who cannot run them.
    await pools.nodes["n0"].stop()
    door = doors[1]
    await door._client.terminate(old[4], "too old")  # type: ignore[attr-defined]
    await until(lambda: pools.open_by_version() == {"@v1": 1})
    await door.signal(old[5], "go", None, "go last")
    await pools.start("n1")
    await until(lambda: pools.open_by_version() == {})
    outcomes = dict(pools.ask("SELECT outcome, count(*) FROM closed_run GROUP BY 1"))
    assert outcomes == {"completed": 11, "terminated": 1}
    assert {version for order, _, version in pools.attempts() if order.startswith("n0")} == {"v1"}
    assert {(node, version) for order, node, version in pools.attempts() if order.startswith("n2")} <= {
        ("n1", "v2"),
        ("n2", "v2"),
    }
