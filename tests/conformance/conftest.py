"""One suite for every keeper. To add one, write its home and put it into ``HOMES``."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
from tests.servers.postgres import PostgresServer

from rco.audit.chain import ChainSealer
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.event import Event
from rco.model.message import Message
from rco.model.run import Mode, RunRow
from rco.store import migrate
from rco.store.contract.changes import Admission, Admitted, Changes, Draft
from rco.store.contract.keeper import Keeper
from rco.store.contract.writer import Flushed, Writer
from rco.store.postgres import PostgresKeeper
from rco.store.sqlite import SqliteKeeper
from rco.testing.database import ModelDatabase
from rco.testing.store import ModelKeeper

START_US = 1_800_000_000_000_000


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at_us = START_US

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at_us / 1e6


class Home(Protocol):
    """Where one kind of keeper lives, and what only its kind can do from outside."""

    name: str
    where: str
    """How a process of its own finds it."""

    def keeper(self, node: str = "node-1") -> Keeper: ...

    def rival(self) -> Keeper:
        """A keeper of another process that may not live beside the first."""
        ...

    def usurp(self) -> None:
        """Take everything over as another owner would."""
        ...


class SqliteHome:
    name = "sqlite"

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.path, self._clock = folder / "rco.sqlite", clock
        self.where = str(self.path)
        migrate.up(self.path)

    def keeper(self, node: str = "node-1") -> SqliteKeeper:
        return SqliteKeeper(self.path, clock=self._clock, ids=Ids(self._clock), sealer=ChainSealer(), node=node)

    def rival(self) -> SqliteKeeper:
        return self.keeper("node-2")

    def usurp(self) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute("UPDATE lease SET epoch = epoch + 1, owner = 'somebody else'")
        connection.close()


class ModelHome:
    """The model that simulations run on: it must be a keeper too, or they prove nothing."""

    name = "model"
    where = ""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self._clock = clock
        self._database = ModelDatabase(ChainSealer(), clock.monotonic)
        self._nodes = 0

    def keeper(self, node: str = "node-1") -> ModelKeeper:
        # A name stands for one life.
        self._nodes += 1
        return ModelKeeper(self._database, clock=self._clock, node=f"{node}.{self._nodes}", pid=os.getpid())

    def rival(self) -> ModelKeeper:
        return self.keeper()

    def usurp(self) -> None:
        self._database.own_all("somebody else")


class PostgresHome:
    name = "postgres"

    def __init__(self, server: PostgresServer, database: str, clock: ManualClock) -> None:
        self._server, self._database, self._clock = server, database, clock
        self.where = server.dsn(database)

    def keeper(self, node: str = "node-1") -> PostgresKeeper:
        return PostgresKeeper(self.where, clock=self._clock, ids=Ids(self._clock), sealer=ChainSealer(), node=node)

    def rival(self) -> PostgresKeeper:
        # Many nodes live on one database, but two of one name do not.
        return self.keeper()

    def usurp(self) -> None:
        self._server.query(self._database, "UPDATE node SET boot_id = '\\x00', alive_until = '-infinity'")
        self._server.query(self._database, "UPDATE lease SET epoch = epoch + 1, owner = 'somebody else'")


HOMES: list[Callable[..., Home]] = [SqliteHome, ModelHome, PostgresHome]


class Desk:
    """Fills changes and waits for their commit: what every test does."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._ids = Ids(clock)

    def id(self) -> bytes:
        return self._ids.uuid7()

    def row(self, run_id: bytes | None = None, **more: object) -> RunRow:
        known = {"workflow": "orders", "version": "1", "mode": Mode.HOT, "opened_us": self.clock.at_us}
        return RunRow(run_id=run_id or self.id(), **(known | more))  # type: ignore[arg-type]

    def draft(self, run_id: bytes, first_seq: int, *parts: bytes) -> Draft:
        draft = Draft(run_id, first_seq)
        draft.parts.extend(parts)
        return draft

    def message(self, run_id: bytes, message_id: str = "m", body: bytes = b"\xc0") -> Message:
        return Message(run_id, message_id, "signal", "go", body, self.clock.at_us)

    def event(self, id: str = "e", type: str = "paid", subject: str | None = "order-1", **more: object) -> Event:
        known: dict[str, object] = {
            "source": "https://shop.example",
            "data": b'{"amount": 12}',
            "time_us": self.clock.at_us,
            "received_us": self.clock.at_us,
            "corr_id": "corr-" + id,
        }
        return Event(id=id, type=type, subject=subject, **(known | more))  # type: ignore[arg-type]

    def decision(self, subject: str = "s", verb: Verb = Verb.CONFIG) -> Decision:
        return Decision(verb=verb, at_us=self.clock.at_us, subject=subject)

    async def commit(self, writer: Writer, fill: Callable[[Changes], object]) -> Flushed:
        """Add with ``fill`` and wait for the commit."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flushed: list[Flushed] = []
        writer.on_flush(flushed.append)
        changes = writer.changes(0)
        fill(changes)
        changes.then.append((done.set_result, (None,)))
        await done
        # The listeners come after the callbacks, in the same turn of the loop.
        return flushed[0]

    def admission(self, **parts: object) -> tuple[Admission, asyncio.Future[Admitted]]:
        future: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        return Admission(done=future.set_result, failed=future.set_exception, **parts), future  # type: ignore[arg-type]

    async def admit(self, writer: Writer, **parts: object) -> Admitted:
        admission, future = self.admission(**parts)
        writer.changes(0).admissions.append(admission)
        return await future

    async def open(self, writer: Writer, **more: object) -> bytes:
        """A run with its START record committed."""
        row = self.row(**more)  # type: ignore[arg-type]

        def fill(changes: Changes) -> None:
            changes.opened.append(row)
            changes.drafts.append(self.draft(row.run_id, 0, b"start"))

        await self.commit(writer, fill)
        return row.run_id


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def desk(clock: ManualClock) -> Desk:
    return Desk(clock)


@pytest.fixture(params=HOMES, ids=lambda home: home.name)
def home(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Home:
    if request.param is PostgresHome:
        server = request.getfixturevalue("postgres_server")
        return PostgresHome(server, request.getfixturevalue("postgres_database"), clock)
    made: Home = request.param(tmp_path, clock)
    return made


Reopen = Callable[[], Awaitable[Keeper]]


@pytest.fixture
async def reopen(home: Home) -> AsyncIterator[Reopen]:
    """Start a keeper at home; a second call stops the one before first."""
    open_now: list[Keeper] = []

    async def again() -> Keeper:
        while open_now:
            await open_now.pop().stop()
        keeper = home.keeper()
        await keeper.start()
        open_now.append(keeper)
        return keeper

    yield again
    while open_now:
        await open_now.pop().stop()


@pytest.fixture
async def keeper(reopen: Reopen) -> Keeper:
    return await reopen()
