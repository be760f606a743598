"""Killed at moments that nobody chose, under load, again and again: nothing is lost, nothing doubled.

``CRASH_SEEDS=7,8`` runs other seeds. A seed fixes what is asked and the pauses between the kills; what the service is
doing when one comes is the machine's affair, so a seed that failed may have to be run more than once.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys

import pytest
from tests.crash.customer import Customer
from tests.crash.plan import RANDOM_KILLS, RANDOM_SEEDS
from tests.crash.verdict import gather, must_hold, until_closed
from tests.crash.world import ROOT, NodeWorld, World

pytestmark = pytest.mark.timeout(240)
SEEDS = [int(text) for text in os.environ.get("CRASH_SEEDS", "").split(",") if text] or list(RANDOM_SEEDS)
AT_ONCE = 40
ON_THE_WAY = 4


async def feed(customer: Customer, pause_s: float) -> None:
    """Begin flows until cancelled, a bounded number at a time."""
    while True:
        if customer.under_way < AT_ONCE:
            customer.begin_some()
        await asyncio.sleep(pause_s)


def verify_offline(world: World) -> None:
    """The check that an auditor runs: a process that has nothing but the file."""
    command = [sys.executable, "-m", "rco.audit.verify", "--complete", str(world.folder / "evidence.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_at_any_moment(seed: int, node: NodeWorld) -> None:
    prefix = f"r{seed}x"
    chance = random.Random(seed)
    customer = Customer(node, seed, prefix)
    feeding = asyncio.create_task(feed(customer, 0.012))
    try:
        for _ in range(RANDOM_KILLS):
            if chance.random() < 0.25:
                # While it begins: taking over, loading, replaying.
                await node.start(wait=False)
                await asyncio.sleep(chance.uniform(0.0, 0.2))
            else:
                await node.start()
                await asyncio.sleep(chance.uniform(0.02, 0.45))
                # However fast the machine: something is on its way when the kill comes.
                for _ in range(ON_THE_WAY):
                    customer.begin_some()
                await asyncio.sleep(chance.uniform(0.0, 0.003))
            await node.kill()
        feeding.cancel()
        await node.start()
        await customer.finish()
        await until_closed(node)
        records = await gather(node, customer, prefix)
    finally:
        feeding.cancel()
        customer.stop()
    assert node.kills == RANDOM_KILLS
    assert sum(asked.outcome == "unknown" for asked in customer.log) > RANDOM_KILLS / 2, "the kills met no load"
    again = f"CRASH_SEEDS={seed} pytest tests/crash/test_random_kills.py"
    must_hold(records, node, again)
    verify_offline(node)
