"""An opening whose answer comes late: the store shows the run from its commit on, and whoever finds it there goes on
with it. On PostgreSQL that is so for runs that somebody else's commit opened: an event's, a run's that emits, a
schedule's; another connection writes what they do, and is not kept waiting by the one whose answer was lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rco.audit.chain import ChainSealer
from rco.engine.ask import StartAsk
from rco.engine.emitting import Started
from rco.engine.engine import Engine
from rco.engine.opening import Opening
from rco.engine.program import Programs
from rco.errors import Forbidden, PayloadErased
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.decision import Decision, Verb
from rco.model.journal import Kind, decode_segment
from rco.model.run import SHARDS, Mode, Outcome
from rco.store.contract.ownership import Shards, SoleOwner
from rco.testing.database import ModelDatabase
from rco.testing.loop import InPlace
from rco.testing.store import ModelKeeper
from rco.workflow import Context, workflow
from rco.workflow.application import Application

ALL = frozenset(range(SHARDS))
NOBODY: Any = None
"""These workflows call nobody."""


@workflow
async def greets(ctx: Context, name: str) -> str:
    await ctx.state("greeted", name)
    return f"hello {name}"


@workflow
async def listens(ctx: Context, name: str) -> Any:
    return await ctx.signal("go")


class Lease(SoleOwner):
    """Ownership of every shard by a lease that the test lets run out, renews and takes away. An ``Ownership``."""

    def __init__(self) -> None:
        self.act_until_s = float("inf")
        self.mine: Shards = ALL
        self._gained: list[Callable[[Shards], None]] = []
        self._leaving: list[Callable[[Shards], None]] = []
        self._renewed: list[Callable[[], None]] = []

    def shards(self) -> Shards | None:
        return self.mine

    def owns(self, shard: int) -> bool:
        return shard in self.mine

    def touches(self, run_id: bytes) -> bool:
        return run_id[15] in self.mine

    def covers(self, run_id: bytes) -> bool:
        return run_id[15] in self.mine

    def on_gained(self, listener: Callable[[Shards], None]) -> None:
        self._gained.append(listener)

    def on_leaving(self, listener: Callable[[Shards], None]) -> None:
        self._leaving.append(listener)

    def on_renewed(self, listener: Callable[[], None]) -> None:
        self._renewed.append(listener)

    def run_out(self) -> None:
        self.act_until_s = 0.0

    def take_away(self) -> None:
        self.mine = frozenset()
        for listener in self._leaving:
            listener(ALL)

    def give_back(self) -> None:
        self.mine = ALL
        for listener in self._gained:
            listener(ALL)

    def renew(self) -> None:
        self.act_until_s = float("inf")
        for listener in self._renewed:
            listener()


class House:
    """An engine on a model keeper."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.lease = Lease()
        self.lease.act_until_s = clock.monotonic() + 3600
        self.database = ModelDatabase(ChainSealer(), clock.monotonic)
        self.keeper = ModelKeeper(self.database, clock=clock, node="test")
        self.ids, self.clock = Ids(clock), clock

    async def begin(self) -> None:
        await self.keeper.start()
        self.engine = Engine(
            self.keeper.writer,
            self.keeper.reader,
            Programs(Application("test", ".", [greets, listens]).programs(NOBODY, InPlace())),
            lambda event: Started([], []),
            clock=self.clock,
            ids=self.ids,
            random=random.random,
            ownership=self.lease,
        )
        await self.engine.start()

    async def commit(self, opening: Opening) -> None:
        """The opening is committed, and its answer is still on its way."""
        done = asyncio.get_running_loop().create_future()
        changes = self.keeper.writer.changes(opening.row.run_id[15])
        changes.opened.append(opening.row)
        changes.opened_segments.append((opening.row.run_id, opening.segment))
        changes.then.append((done.set_result, (None,)))
        await done

    def kinds(self, run_id: bytes) -> list[int]:
        return [one.kind for row in self.database.tables.journal[run_id] for one in decode_segment(row.data)]

    async def goes_on(self) -> None:
        """Nothing of what was asked has ended the writer, and another run is done."""
        other = await self.engine.start_run(StartAsk(workflow="greets", input="you"))
        assert (await self.engine.result(other.run_id, 10)).outcome is Outcome.COMPLETED  # type: ignore[union-attr]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.begin()
    yield house
    await house.engine.stop()
    await house.keeper.stop()


async def test_a_run_that_was_found_and_has_closed_is_not_begun_again(house: House) -> None:
    opening = house.engine.prepare(StartAsk(workflow="greets", input="me"))
    run_id = opening.row.run_id
    await house.commit(opening)
    house.engine.wake(run_id)
    assert (await house.engine.result(run_id, 10)).value == "hello me"  # type: ignore[union-attr]
    before = house.kinds(run_id)
    house.engine.begin(opening)
    await house.goes_on()
    assert house.kinds(run_id) == before
    assert before.count(Kind.START) == before.count(Kind.CLOSE) == 1


async def test_a_run_that_was_found_and_ended_by_somebody_is_not_begun(house: House) -> None:
    opening = house.engine.prepare(StartAsk(workflow="listens", input="me"))
    run_id = opening.row.run_id
    await house.commit(opening)
    decision = Decision(verb=Verb.TERMINATE, at_us=0)
    await house.engine.terminate(opening.row, "no more", decision)
    house.engine.begin(opening)
    await house.goes_on()
    assert house.kinds(run_id) == [Kind.START, Kind.CLOSE]
    assert house.engine.stats().open_in_memory == 0


async def test_a_run_that_was_found_and_goes_on_is_left_to_who_found_it(house: House) -> None:
    opening = house.engine.prepare(StartAsk(workflow="listens", input="me"))
    run_id = opening.row.run_id
    await house.commit(opening)
    house.engine.wake(run_id)
    while not house.engine._owner.live:
        await asyncio.sleep(0)
    found = house.engine._owner.live[run_id]
    house.engine.begin(opening)
    assert house.engine._owner.live[run_id] is found
    await house.engine.signal(run_id, "go", 7, "m", Decision(verb=Verb.SIGNAL, at_us=0))
    assert (await house.engine.result(run_id, 10)).value == 7  # type: ignore[union-attr]


async def test_where_the_lease_may_have_run_out_a_run_is_not_begun_before_it_is_renewed(house: House) -> None:
    opening = house.engine.prepare(StartAsk(workflow="greets", input="me"))
    await house.commit(opening)
    house.lease.run_out()
    house.engine.begin(opening)
    assert house.engine.stats().open_in_memory == 0
    house.lease.renew()
    assert (await house.engine.result(opening.row.run_id, 10)).value == "hello me"  # type: ignore[union-attr]


async def test_what_another_node_has_closed_meanwhile_is_not_begun(house: House) -> None:
    opening = house.engine.prepare(StartAsk(workflow="greets", input="me"))
    run_id = opening.row.run_id
    await house.commit(opening)
    house.lease.run_out()
    house.engine.begin(opening)
    # The other node, and what it did.
    other = Engine(
        house.keeper.writer,
        house.keeper.reader,
        house.engine._programs,
        lambda event: Started([], []),
        clock=house.clock,
        ids=house.ids,
        random=random.random,
        ownership=Lease(),
    )
    await other.start()
    assert (await other.result(run_id, 10)).value == "hello me"  # type: ignore[union-attr]
    before = house.kinds(run_id)
    house.lease.take_away()
    house.lease.give_back()
    house.lease.renew()
    await house.goes_on()
    assert house.kinds(run_id) == before
    await other.stop()


async def test_a_run_whose_namespace_was_closed_meanwhile_is_blocked(house: House) -> None:
    opening = house.engine.prepare(StartAsk(workflow="greets", input="me"))
    run_id = opening.row.run_id
    await house.commit(opening)

    def refuse(namespace: str) -> None:
        raise Forbidden("erased.", cure="It is gone.") from PayloadErased("erased.", cure="It is gone.")

    house.engine.refuse_with(refuse)
    house.engine.begin(opening)
    await house.keeper.writer.settled()
    row = house.database.tables.runs[run_id]
    assert row.mode is Mode.BLOCKED
    assert b"payload_erased" in (row.detail or b"")
    assert house.kinds(run_id) == [Kind.START]


async def test_openings_that_nobody_begins_are_forgotten(house: House) -> None:
    kept = house.engine.prepare(StartAsk(workflow="greets", input="me"))
    for number in range(100):
        house.engine.prepare(StartAsk(workflow="greets", input=str(number)))
    assert list(house.engine._owner._coming) == [kept.row.run_id]
