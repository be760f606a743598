"""Ticks under ``kill -9``: every second of the time has one run, however often its node died.

One ``rco serve`` on SQLite, and two on one PostgreSQL that are killed in turns. The schedules stand in the
configuration, so nobody talks to the service; what is checked is read from the database by plain SQL.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.timeout(240)
KILLS = 14
CALM_TICKS = 3
PATIENCE_S = 90.0
SEED = 5
APP = """
from rco.workflow import Context, workflow

@workflow
async def note(ctx: Context, given):
    async def think():
        return given["tick"]
    return await ctx.step(think)
"""
CONFIG = """
app: {app}
data_dir: {data}
store: {store}
server: {{bind_addr: "127.0.0.1:0", metrics_addr: "127.0.0.1:0", drain_timeout: 1s}}
schedules:
  beside: {{workflow: note, every: 1s, tick_field: tick, overlap: allow, catch_up: none}}
  in-line: {{workflow: note, every: 1s, tick_field: tick, overlap: buffer_all, catch_up: latest}}
"""
Ask = Callable[[str], list[Any]]


class Serving:
    """One ``rco serve`` after the other, in one folder."""

    def __init__(self, folder: Path, store: str, app: str, config: str) -> None:
        folder.mkdir()
        (folder / "app.py").write_text(app)
        self._config, self.log = folder / "rco-config.yaml", folder / "log"
        self._config.write_text(config.format(app=folder / "app.py", data=folder / "data", store=store))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rco", "serve", "--config", str(self._config)],
                env={name: value for name, value in os.environ.items() if not name.startswith("RCO_")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[list[Serving], Ask]]:
    nodes, ask, _ = placed(request, tmp_path, APP, CONFIG)
    yield nodes, ask
    for node in nodes:
        node.kill()


def placed(request: pytest.FixtureRequest, tmp_path: Path, app: str, config: str) -> tuple[list[Serving], Ask, str]:
    """Services that are not started yet, a way to ask their database, and where that is."""
    if request.param == "sqlite":
        path = tmp_path / "rco.db"
        subprocess.run([sys.executable, "-m", "rco", "migrate", "--store", str(path)], check=True, capture_output=True)

        def ask(sql: str) -> list[Any]:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.close()

        nodes, where = [Serving(tmp_path / "one", f"{{path: {path}}}", app, config)], str(path)
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        database = request.getfixturevalue("postgres_database")
        quick = "heartbeat: 500ms, lease_ttl: 2s, lease_margin: 500ms, poll: 500ms"
        store = f'{{path: "{server.dsn(database)}", {quick}}}'
        nodes, where = [Serving(tmp_path / name, store, app, config) for name in ("one", "two")], server.dsn(database)

        def ask(sql: str) -> list[Any]:
            return server.query(database, sql)

    return nodes, ask, where


def ticks(ask: Ask) -> dict[str, list[int]]:
    """By schedule, the ticks that a run was opened for, as often as there are runs."""
    names = {str(_uuid(row[0])): row[1] for row in ask("SELECT schedule_id, name FROM schedule")}
    found: dict[str, list[int]] = {name: [] for name in names.values()}
    for table in ("run", "closed_run"):
        for (key,) in ask(f"SELECT key FROM {table} WHERE key LIKE 'schedule:%'"):
            _, schedule_id, tick = key.split(":", 2)
            found[names[schedule_id]].append(round(datetime.fromisoformat(tick).timestamp()))
    return found


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def bodies(ask: Ask) -> dict[str, Any]:
    return {row[0]: msgspec.msgpack.decode(row[1]) for row in ask("SELECT name, body FROM schedule")}


async def until(condition: Callable[[], bool]) -> None:
    """Nobody tells a stranger: ask again and again."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.1)


async def test_every_tick_has_one_run(place: tuple[list[Serving], Ask]) -> None:
    nodes, ask = place
    chance = random.Random(SEED)
    for node in nodes:
        node.start()
    await until(lambda: len(bodies(ask)) == 2 and all(ticks(ask).values()))
    for index in range(KILLS):
        node = nodes[index % len(nodes)]
        await asyncio.sleep(chance.uniform(0.1, 2.5))
        node.kill()
        node.start()
    last = max(max(found) for found in ticks(ask).values())
    await until(lambda: all(found and max(found) >= last + CALM_TICKS for found in ticks(ask).values()))
    await until(lambda: all(not body[1].get("waiting") for body in bodies(ask).values()))
    for node in nodes:
        node.kill()
    for name, found in ticks(ask).items():
        body = bodies(ask)[name]
        created_us, decided_us = body[2], body[1]["decided_us"]
        wanted = range(created_us // 1_000_000 + 1, decided_us // 1_000_000 + 1)
        waiting = {due[0] // 1_000_000 for due in body[1].get("waiting", ())}
        assert len(wanted) > KILLS // 2, "too few ticks to prove anything"
        assert Counter(found) == Counter(set(wanted) - waiting), (name, datetime.fromtimestamp(created_us / 1e6, UTC))
        assert body[1]["started"] == len(found)
        assert not body[1].get("missed")
        assert not body[1].get("skipped")
