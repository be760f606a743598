"""A bad network between each node and PostgreSQL: connections cut, delayed, closed one way, silent; answers lost whose
commits stand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.crash.cluster import Cluster
from tests.crash.load import loaded
from tests.crash.world import DOORS, Downstream
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.timeout(240)
SEED = 13
FAULTS = 24


@pytest.fixture
async def proxies(crash_server: PostgresServer) -> AsyncIterator[list[Proxy]]:
    made = [Proxy(crash_server.port) for _ in range(DOORS)]
    for proxy in made:
        await proxy.start()
    yield made
    for proxy in made:
        await proxy.stop()


@pytest.fixture
async def far(
    tmp_path: Path, downstream: Downstream, crash_server: PostgresServer, proxies: list[Proxy]
) -> AsyncIterator[Cluster]:
    """Nodes with a proxy each before their database."""
    dsns = [crash_server.dsn("{database}", proxy.port) for proxy in proxies]
    world = Cluster(tmp_path, downstream, crash_server, SEED, dsns=dsns)
    yield world
    await world.end()


async def test_a_bad_network_before_the_database(far: Cluster, proxies: list[Proxy]) -> None:
    chance = random.Random(SEED)
    await far.start()
    await far.until_owned_by(0, 1, 2)
    pids = [node.pid for node in far.nodes]
    async with loaded(far, SEED, "cn", "pytest tests/crash/test_cluster_network.py"):
        for turn in range(FAULTS):
            number = chance.randrange(DOORS)
            proxy = proxies[number]
            match turn % 7:
                case 0:
                    proxy.cut()
                case 1 | 2:
                    # A flush names its chain.
                    proxy.swallow = f"{far.name_of(number)}/{turn % 2}".encode()
                case 3:
                    proxy.half_close()
                case 4:
                    proxy.mute()
                case 5:
                    proxy.delay_s = chance.uniform(0.02, 0.2)
                    await asyncio.sleep(chance.uniform(0.3, 0.8))
                    proxy.delay_s = 0.0
                case _:
                    # Silence; sometimes for longer than the lease. Then what was said comes late, or never.
                    proxy.passing.clear()
                    await asyncio.sleep(chance.choice([0.5, 3.0]))
                    if chance.random() < 0.5:
                        proxy.cut()
                    proxy.passing.set()
            await asyncio.sleep(chance.uniform(0.05, 0.5))
        for proxy in proxies:
            proxy.swallow = b""
        await far.until_owned_by(0, 1, 2)
    assert sum(proxy.swallowed for proxy in proxies) > 3
    assert [node.pid for node in far.nodes if not node.dead] == pids
