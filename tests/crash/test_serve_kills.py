"""``rco serve`` as it is installed, over HTTP, with signed webhooks: killed at random under load."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.crash.customer import Customer
from tests.crash.plan import SERVE_KILLS
from tests.crash.test_random_kills import feed, verify_offline
from tests.crash.verdict import gather, must_hold, until_closed
from tests.crash.world import Downstream, ServeWorld

pytestmark = pytest.mark.timeout(300)
SEED = 3


@pytest.fixture
async def service(tmp_path: Path, downstream: Downstream) -> AsyncIterator[ServeWorld]:
    """A service that is migrated and not yet started."""
    world = ServeWorld(tmp_path, downstream)
    world.migrate()
    yield world
    await world.stop()


def webhooks(customer: Customer) -> int:
    """How often one was sent, whatever came of it."""
    return sum(asked.kind == "deliver" for asked in customer.log)


async def test_the_whole_service_killed_at_any_moment(service: ServeWorld) -> None:
    prefix = "servex"
    chance = random.Random(SEED)
    customer = Customer(service, SEED, prefix)
    feeding = asyncio.create_task(feed(customer, 0.02))
    try:
        for index in range(SERVE_KILLS):
            if index % 4 == 0:
                await service.start(wait=False)
                await asyncio.sleep(chance.uniform(0.1, 1.5))
            else:
                before = webhooks(customer)
                await service.start()
                # However slow the machine: the control API, which half of the requests go to, is loaded later.
                async with asyncio.timeout(60):
                    while webhooks(customer) < before + 2:
                        await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0.0, 0.9))
            await service.kill()
        feeding.cancel()
        await service.start()
        await customer.finish()
        await until_closed(service)
        records = await gather(service, customer, prefix)
    finally:
        feeding.cancel()
        customer.stop()
    assert service.kills == SERVE_KILLS
    assert webhooks(customer) > SERVE_KILLS, "too few webhooks to prove anything"
    must_hold(records, service, "pytest tests/crash/test_serve_kills.py")
    verify_offline(service)
