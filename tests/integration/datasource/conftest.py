"""A database of a user's own beside the store, and engines whose workflows commit to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.servers.postgres import PostgresServer

from rco.audit.chain import ChainSealer
from rco.datasource.options import Database
from rco.datasource.schema import steps
from rco.datasource.sources import Datasources
from rco.datasource.steps import Datasource
from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.ending import Finished
from rco.engine.engine import Engine
from rco.engine.program import Programs
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.store import migrate
from rco.store.postgres import PostgresKeeper
from rco.store.sqlite.keeper import SqliteKeeper
from rco.telemetry.metrics import Metrics
from rco.workflow import Workflow
from rco.workflow.application import Application

TABLES = "CREATE TABLE paid (order_id text, amount integer); CREATE TABLE stock (item text PRIMARY KEY, left_over int);"


class Shop:
    """The user's database."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self._server, self.name = server, name
        self.dsn = server.dsn(name)

    def query(self, sql: str, *values: Any) -> list[Any]:
        return self._server.query(self.name, sql, *values)

    def count(self, table: str) -> int:
        return int(self.query(f"SELECT count(*) FROM {table}")[0][0])


@pytest.fixture
def shop(postgres_server: PostgresServer) -> Iterator[Shop]:
    name = f"shop{next(postgres_server._numbers)}"
    postgres_server.query("postgres", f"CREATE DATABASE {name}")
    postgres_server.run_script(name, TABLES + steps())
    yield Shop(postgres_server, name)
    postgres_server.drop(name)


class Node:
    """One engine with one user's database. ``store``: a file or a dsn."""

    def __init__(self, store: Path | str, shop: Shop, name: str = "test") -> None:
        self.store, self.shop, self.name = store, shop, name
        self.clock = SystemClock()
        self.may_commit: Callable[[], bool] = lambda: True
        self.database = Database(name="shop", dsn="env:SHOP_DSN", patience_s=20)
        self.metrics = Metrics(process=False)

    async def start(self, *workflows: Workflow[Any, Any]) -> None:
        ids = Ids(self.clock)
        options: dict[str, Any] = {"clock": self.clock, "ids": ids, "sealer": ChainSealer(), "node": self.name}
        keeper = SqliteKeeper if isinstance(self.store, Path) else PostgresKeeper
        self.keeper: Any = keeper(self.store, **options)  # type: ignore[arg-type]
        await self.keeper.start()
        self.source = Datasource(
            self.database,
            lambda: self.shop.dsn,
            clock=self.clock,
            metrics=self.metrics,
            may_commit=lambda: self.may_commit(),  # noqa: PLW0108 - tests replace it
            value_limit_bytes=4096,
        )
        self.executor = ThreadPoolExecutor(1)
        programs = Application("test", ".", list(workflows)).programs(
            None, self.executor, None, Datasources({"shop": self.source})  # type: ignore[arg-type]
        )  # fmt: skip
        self.engine = Engine(
            self.keeper.writer,
            self.keeper.reader,
            Programs(programs),
            lambda _: Started([], []),
            clock=self.clock,
            ids=ids,
            random=random.random,
            ownership=self.keeper.ownership,
        )
        self.keeper.on_mail(self.engine.wake)
        await self.engine.start()

    async def stop(self) -> None:
        await self.source.stop()
        await self.engine.stop()
        await self.keeper.stop()
        self.executor.shutdown()

    async def open(self, workflow: Workflow[Any, Any], given: Any = None) -> bytes:
        return (await self.engine.start_run(StartAsk(workflow=workflow.name, input=given))).run_id

    async def end(self, run_id: bytes, timeout_s: float = 20) -> Finished:
        finished = await self.engine.result(run_id, timeout_s)
        assert finished is not None, "the run did not close in time"
        return finished

    async def run(self, workflow: Workflow[Any, Any], given: Any = None) -> Finished:
        return await self.end(await self.open(workflow, given))

    def counted(self, outcome: str) -> float:
        from rco.telemetry import signals

        return self.metrics.counter(signals.TRANSACTIONS, database="shop", outcome=outcome).value

    def set(self, **fields: Any) -> None:
        self.database = msgspec.structs.replace(self.database, **fields)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture(params=["sqlite", "postgres"])
async def node(request: pytest.FixtureRequest, tmp_path: Path, shop: Shop) -> AsyncIterator[Node]:
    """Not started; the store is a file and a server in turn."""
    if request.param == "sqlite":
        migrate.up(tmp_path / "rco.db")
        store: Path | str = tmp_path / "rco.db"
    else:
        store = request.getfixturevalue("postgres_dsn")
    made = Node(store, shop)
    yield made
    await made.stop()
