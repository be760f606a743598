"""What is scarce and shared by several nodes is used, and goes round: under virtual time, so that a rate is exact."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import msgspec
import pytest

from rco.audit.chain import ChainSealer
from rco.model.effect import EffectFailed
from rco.testing.database import ModelDatabase
from rco.testing.limited import KEYED, Limited
from rco.testing.loop import VirtualLoop
from rco.testing.plan import draw
from rco.testing.store_reader import ModelReader
from rco.testing.store_writer import ModelWriter
from rco.testing.wire import Network

SECONDS = 10.0
CALL_S = 0.005


class Called(msgspec.Struct):
    """What three nodes with eight callers each did, who would always call if they might."""

    at_s: list[float]
    by: Counter[str]
    most: int

    @property
    def per_s(self) -> float:
        return len(self.at_s) / SECONDS

    @property
    def longest_wait_s(self) -> float:
        return max(after - before for before, after in zip(self.at_s, self.at_s[1:], strict=False))


def call_for_a_while(concurrency: int, rate: float | None, burst: int, latency_s: tuple[float, float]) -> Called:
    plan = msgspec.structs.replace(
        draw(1),
        nodes=3,
        limit_concurrency=concurrency,
        limit_rate=rate,
        limit_burst=burst,
        upstream_timeout_s=5.0,
        read_s=latency_s,
        commit_s=latency_s,
    )
    loop = VirtualLoop(Random(1).random)  # type: ignore[abstract]
    database = ModelDatabase(ChainSealer(), lambda: loop.world.now_s)
    network = Network(loop, database, plan, Random(2))
    network.calm = True
    called, under_way = Called([], Counter(), 0), 0

    async def call(limited: Limited, name: str) -> None:
        nonlocal under_way
        while True:
            try:
                passage = await limited.passage(KEYED)
            except EffectFailed:
                await asyncio.sleep(0.2)
                continue
            assert passage is not None
            called.at_s.append(loop.world.now_s)
            called.by[name] += 1
            under_way += 1
            called.most = max(called.most, under_way)
            await asyncio.sleep(CALL_S)
            under_way -= 1
            passage.leave()

    async def node(name: str) -> None:
        clock, wire = loop.current().clock, network.wire(name, loop.current())
        reader = ModelReader(database, wire, ModelWriter(database, wire, clock, name, name), name, clock)
        reader.begin()
        random = Random(name).random
        limited = Limited(plan, reader, name, clock, random, may_send=lambda: True, leased=True)
        await limited.start()
        await asyncio.gather(*(call(limited, name) for _ in range(8)))

    for name in "abc":
        loop.spawn(loop.actor(name), node(name))
    loop.run_until(lambda: False, SECONDS)
    assert not loop.problems
    loop.close()
    return called


@pytest.mark.parametrize(
    ("concurrency", "rate", "burst", "latency_s", "at_least_per_s"),
    [
        (1, None, 1, (0.001, 0.003), 25.0),
        (1, 20.0, 1, (0.001, 0.003), 12.0),
        (2, 20.0, 1, (0.001, 0.003), 12.0),
        (64, 20.0, 1, (0.001, 0.003), 12.0),
        (1, 5.0, 1, (0.001, 0.003), 3.5),
        (1, 20.0, 20, (0.001, 0.003), 18.0),
        # A store that is far away: of a burst of one much is lost, and it goes on.
        (64, 20.0, 1, (0.02, 0.06), 3.0),
        (1, 20.0, 1, (0.02, 0.06), 1.0),
    ],
)
def test_what_is_scarce_goes_round(
    concurrency: int, rate: float | None, burst: int, latency_s: tuple[float, float], at_least_per_s: float
) -> None:
    called = call_for_a_while(concurrency, rate, burst, latency_s)
    assert called.most <= concurrency
    assert called.per_s >= at_least_per_s
    if latency_s[1] < 0.01:
        assert called.longest_wait_s < 0.5
        assert min(called.by.values()) > 0.6 * max(called.by.values())
    if rate is not None:
        tokens, before = float(burst), 0.0
        for at_s in called.at_s:
            tokens = min(float(burst), tokens + (at_s - before) * rate) - 1
            before = at_s
            assert tokens > -1e-6
