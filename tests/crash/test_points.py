"""Killed exactly at every named point of a commit, a call, a parking and the rest: nothing is lost, nothing doubled.

Each test has a service of its own: a load that passes the point, a death there, a second one at a later passing where
there is one, and then a life in which everything must close.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.crash.customer import FLOWS, Customer
from tests.crash.plan import POINTS
from tests.crash.verdict import gather, must_hold, until_closed
from tests.crash.world import NodeWorld

pytestmark = pytest.mark.timeout(90)


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(point: str, node: NodeWorld) -> None:
    prefix = f"p{POINTS.index(point)}x"
    customer = Customer(node, POINTS.index(point), prefix)
    try:
        for flow in FLOWS:
            customer.begin(flow)
        assert await _dies(node, customer, f"{point}:1"), f"nothing passed {point}"
        customer.begin("order")
        customer.begin("webhook")
        if await _dies(node, customer, f"{point}:3"):
            await node.start()
        await customer.finish()
        await until_closed(node)
        records = await gather(node, customer, prefix)
    finally:
        customer.stop()
    must_hold(records, node, f"pytest 'tests/crash/test_points.py::test_killed_at[{point}]'")


async def _dies(node: NodeWorld, customer: Customer, trap: str) -> bool:
    """Whether a life with this trap ends in it, or everything closes without."""
    await node.start(trap)
    while not node.dead and customer.under_way:
        await asyncio.sleep(0.01)
    if not node.dead:
        await until_closed(node)
    if node.dead:
        await node.death()
        return True
    return False
