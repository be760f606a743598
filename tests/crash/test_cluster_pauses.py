"""A node that is stopped (SIGSTOP) for longer than its lease and then goes on: it believes that it owns what others
have taken over. Nothing of what it then writes may stand, nothing may leave it for those runs, and whoever asks it
something gets an honest answer. ``checks.appends`` and ``checks.calls`` look at each commit and each request."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.crash.checks import SLACK_US
from tests.crash.cluster import Cluster
from tests.crash.load import loaded

pytestmark = pytest.mark.timeout(240)
SEED = 8
PAUSES = 4


async def test_a_node_that_goes_on_after_its_lease_has_run_out(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    await cluster.start()
    await cluster.until_owned_by(0, 1, 2)
    pids = [node.pid for node in cluster.nodes]
    async with loaded(cluster, SEED, "cp", "pytest tests/crash/test_cluster_pauses.py"):
        for _ in range(PAUSES):
            await asyncio.sleep(chance.uniform(0.3, 1.0))
            victim = chance.randrange(3)
            others = [number for number in range(3) if number != victim]
            cluster.nodes[victim].pause()
            await cluster.until_owned_by(*others)
            # What it sends when it goes on is told apart from what was on its way when it was stopped.
            await asyncio.sleep(1.5 * SLACK_US / 1e6)
            cluster.go_on(victim)
            await cluster.until_owned_by(0, 1, 2)
    # It found out, let go of what it had lost, and lives on.
    assert [node.pid for node in cluster.nodes if not node.dead] == pids
