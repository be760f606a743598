"""PostgreSQL itself falls and comes back, or comes back without what it had acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import pytest
from tests.crash.cluster import Cluster
from tests.crash.customer import Customer
from tests.crash.load import loaded
from tests.crash.test_random_kills import feed, verify_offline
from tests.crash.verdict import gather, must_hold, until_closed

from rco.audit.chain import ChainSealer
from rco.errors import Conflict
from rco.model.journal import Kind
from rco.store.postgres import PostgresOptions
from rco.store.postgres.operate import accept_rewinds

pytestmark = pytest.mark.timeout(240)
SEED = 12
RESTARTS = 4


async def test_a_database_that_crashes_and_comes_back(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    await cluster.start()
    await cluster.until_owned_by(0, 1, 2)
    pids = [node.pid for node in cluster.nodes]
    async with loaded(cluster, SEED, "cd", "pytest tests/crash/test_cluster_database.py"):
        for turn in range(RESTARTS):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            await asyncio.to_thread(cluster.server.stop_now)
            # Once for longer than a lease: when it is back, nobody has been heard of.
            await asyncio.sleep(3.0 if turn == 1 else chance.uniform(0.0, 0.5))
            await asyncio.to_thread(cluster.server.start)
        await cluster.until_owned_by(0, 1, 2)
    # They came back by themselves.
    assert [node.pid for node in cluster.nodes if not node.dead] == pids


async def test_a_database_that_lost_what_it_had_acknowledged(cluster: Cluster) -> None:
    """An older copy is put in its place under running nodes, as by a fail-over to a standby that was behind. What was
    acknowledged before the copy holds, and its effects are not doubled; each node sees that history was rewound, and
    lets the shards stand still that it wrote to; when somebody has accepted it, they go on from what is there."""
    server = cluster.server
    await cluster.start()
    await cluster.until_owned_by(0, 1, 2)
    kept, void = Customer(cluster, SEED, "ra"), Customer(cluster, SEED, "rb")
    feeding = asyncio.create_task(feed(kept, 0.015))
    await asyncio.sleep(2.0)
    feeding.cancel()
    await kept.finish()
    # Much of it is still under way.
    await asyncio.to_thread(server.stop_now)
    await asyncio.to_thread(server.copy)
    copied_us = time.time_ns() // 1000
    await asyncio.to_thread(server.start)
    feeding = asyncio.create_task(feed(void, 0.015))
    await asyncio.sleep(2.5)
    await asyncio.to_thread(server.stop_now)
    feeding.cancel()
    void.stop()
    await asyncio.to_thread(server.put_back)
    await asyncio.to_thread(server.start)
    rewound_us = time.time_ns() // 1000
    pids = [node.pid for node in cluster.nodes]
    noticed: set[str] = set()
    while len(noticed) < len(pids):
        await asyncio.sleep(0.05)
        rows = await asyncio.to_thread(server.query, cluster.name, "SELECT DISTINCT node FROM rewind")
        noticed = {row[0] for row in rows}
    for node in cluster.nodes:
        assert "history.rewound" in node.log.read_text()
    accepting = asyncio.create_task(accept_all(cluster))
    try:
        await until_closed(cluster)
        records = await gather(cluster, kept, "ra")
    finally:
        kept.stop()
        accepting.cancel()
    # Nobody had to start them again.
    assert [node.pid for node in cluster.nodes if not node.dead] == pids
    # What was noted of tenures was rewound as well.
    records.tenures = None
    # Of the time that was lost, the other side remembers what the journals do not: a run that was opened then and is
    # opened again has another identity, and a timer that had fired fires again. What must not be doubled is what one
    # step of one run does.
    known = {run.idempotency_key(end.key) for run in records.runs.values() for end in run.of(Kind.STEP_END)}
    records.seen = [one for one in records.seen if not copied_us < one.at_us < rewound_us]
    records.effects = [one for one in records.effects if one.key in known or not copied_us < one.at_us < rewound_us]
    must_hold(records, cluster, "pytest tests/crash/test_cluster_database.py")
    verify_offline(cluster)


async def accept_all(cluster: Cluster) -> None:
    """Accept whatever is noticed: one that had nothing to write notices at its next heartbeat."""
    dsn, at_us = cluster.server.dsn(cluster.name), time.time_ns() // 1000
    while True:
        with contextlib.suppress(Conflict):
            await accept_rewinds(
                dsn, PostgresOptions(), ChainSealer(), actor="operator:test", reason="planted", at_us=at_us
            )
        await asyncio.sleep(0.2)
