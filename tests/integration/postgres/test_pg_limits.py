"""Three nodes on one database share the limits of one target."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from tests.integration.postgres.conftest import SHORT, Node

from rco.egress.closures import PAUSE, SWITCH
from rco.egress.limits import Crowded
from rco.egress.passage import Passage
from rco.egress.scopes import Scopes
from rco.egress.sharing import Sharing
from rco.model.target import Budget, Rule, Target

NODES = 3


class Caller:
    """One node with its side of the limits."""

    def __init__(self, dsn: str, name: str) -> None:
        self.node = Node(dsn, name, SHORT)
        self.name = name

    async def start(self) -> None:
        node = self.node
        await node.keeper.start()
        holder = f"{self.name}#{node.keeper.epoch}"
        self.sharing = Sharing(node.reader, holder, node.clock, leased=True, random=random.random)
        await self.sharing.start()
        self.scopes = Scopes(node.clock, self.sharing.leaser, leased=True)

    async def stop(self) -> None:
        await self.sharing.stop()
        await self.node.keeper.stop()

    def limited(self, **limits: object) -> None:
        target = Target(name="t", base_url="http://t", allow=[Rule(["GET"], "/**")], timeout_s=1.0, **limits)
        self.scopes.declare([target], {})
        self.limits = (self.scopes.of_target(target),)

    async def call(self) -> Passage | Crowded:
        passage = Passage(self.limits, 1)
        if passage.slip_in():
            return passage
        return await passage.enter(self.node.clock.monotonic() + 60, "") or passage


@pytest.fixture
async def callers(postgres_dsn: str) -> AsyncIterator[list[Caller]]:
    callers = [Caller(postgres_dsn, f"node-{number}") for number in range(NODES)]
    for caller in callers:
        await caller.start()
    yield callers
    for caller in callers:
        await caller.stop()


@pytest.mark.parametrize("concurrency", [1, 2, 7])
async def test_no_more_are_under_way_than_are_allowed_and_every_node_has_its_turn(callers, concurrency: int) -> None:
    under_way = most = 0
    done = dict.fromkeys(range(NODES), 0)
    enough = asyncio.Event()

    async def work(number: int) -> None:
        nonlocal under_way, most
        while not enough.is_set():
            passage = await callers[number].call()
            assert isinstance(passage, Passage)
            assert passage.good(callers[number].node.clock)
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.002)
            under_way -= 1
            passage.leave()
            done[number] += 1
            if min(done.values()) >= 20:
                enough.set()

    for caller in callers:
        caller.limited(concurrency=concurrency)
    async with asyncio.timeout(120):
        await asyncio.gather(*(work(number) for number in range(NODES) for _ in range(5)))
    assert most <= concurrency
    assert most == concurrency or concurrency == 7


async def test_a_budget_is_used_up_to_the_last_call_and_not_beyond(callers) -> None:
    for caller in callers:
        caller.limited(concurrency=50, budgets=[Budget(per="month", calls=25)])
    went = 0

    async def work(caller: Caller) -> None:
        nonlocal went
        while True:
            passage = await caller.call()
            if isinstance(passage, Crowded):
                assert passage.reason == "budget_spent"
                assert passage.retry_after_s > 0
                return
            went += 1
            await asyncio.sleep(0.001)
            passage.leave()

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(caller) for caller in callers))
    assert went == 25


async def test_what_is_closed_on_one_node_is_closed_on_all_and_after_a_restart(callers, postgres_dsn) -> None:
    first, second = callers[0].sharing.closures, callers[1].sharing.closures
    told = asyncio.Event()
    second.changed = lambda scope, why: told.set()
    closed = await first.close("target:t", SWITCH, actor="principal:one", reason="stop")
    await told.wait()
    assert second.closed("target:t", SWITCH) == closed
    assert second.first_switched(["target:other", "target:t"]) == "target:t"
    await first.close("target:t", PAUSE, for_s=600)
    # A shorter pause takes nothing away from a longer one.
    until_us = (await first.close("target:t", PAUSE, for_s=1)).until_us
    later = Caller(postgres_dsn, "node-later")
    await later.start()
    try:
        assert later.sharing.closures.closed("target:t", SWITCH) == closed
        found = later.sharing.closures.closed("target:t", PAUSE)
        assert found is not None
        assert found.until_us == until_us
        told.clear()
        await later.sharing.closures.open("target:t", SWITCH, reason="go on")
        await told.wait()
        assert second.closed("target:t", SWITCH) is None
    finally:
        await later.stop()


async def test_one_node_makes_the_call_that_may_close_a_breaker(callers) -> None:
    closures = [caller.sharing.closures for caller in callers]
    await closures[0].close("target:t", "breaker", for_s=0.001)
    claims = await asyncio.gather(*(one.claim_probe("target:t", 60.0) for one in closures))
    assert sum(claims) == 1


async def test_a_clean_stop_gives_everything_back(callers) -> None:
    for caller in callers:
        caller.limited(concurrency=4, budgets=[Budget(per="month", calls=100)])
    passage = await callers[0].call()
    assert isinstance(passage, Passage)
    passage.leave()
    await callers[0].sharing.stop()
    body = (await callers[1].node.reader.limit_states("limit", ["target:t"])).states[0].body
    assert b'"given":1' in body
    assert b'"held":' not in body
