"""Load on a cluster, and the verdict after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.crash.cluster import Cluster
from tests.crash.customer import Customer
from tests.crash.test_random_kills import feed, verify_offline
from tests.crash.verdict import gather, must_hold, until_closed

__all__ = ["loaded"]


@asynccontextmanager
async def loaded(
    cluster: Cluster, seed: int, prefix: str, again: str, pause_s: float = 0.015
) -> AsyncIterator[Customer]:
    """Flows of every kind while the block runs; then no more of them, every answer, every run closed, and all records
    compared."""
    customer = Customer(cluster, seed, prefix)
    feeding = asyncio.create_task(feed(customer, pause_s))
    try:
        yield customer
        feeding.cancel()
        await customer.finish()
        await until_closed(cluster)
        records = await gather(cluster, customer, prefix)
    finally:
        feeding.cancel()
        customer.stop()
    must_hold(records, cluster, again)
    verify_offline(cluster)
