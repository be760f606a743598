"""Three nodes on one PostgreSQL, killed at any moment under load: the others go on with what the dead one had."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.crash.cluster import Cluster
from tests.crash.load import loaded

pytestmark = pytest.mark.timeout(240)
SEED = 5
KILLS = 10


async def test_nodes_killed_at_any_moment(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    await cluster.start()
    async with loaded(cluster, SEED, "ck", "pytest tests/crash/test_cluster_kills.py") as customer:
        for turn in range(KILLS):
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            victim = chance.randrange(3)
            await cluster.kill(victim)
            if turn % 3 == 2:
                # While it begins: joining, taking over, replaying.
                await cluster.start(victim, wait=False)
                await asyncio.sleep(chance.uniform(0.1, 2.0))
                await cluster.kill(victim)
            await cluster.start(victim)
    assert cluster.kills > KILLS
    assert sum(asked.outcome == "unknown" for asked in customer.log) > KILLS / 2, "the kills met no load"
