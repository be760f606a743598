"""Behind a transaction pooler everything works but notices: what other nodes left is found by looking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.postgres.conftest import MakeNode
from tests.servers.pgbouncer import PgBouncer

from rco.model.run import shard_of
from rco.store.postgres import PostgresOptions

POOLED = PostgresOptions(heartbeat_s=0.15, ttl_s=0.9, margin_s=0.2, poll_s=0.2, pooler=True)
ALL = frozenset(range(256))


@pytest.fixture
def pooled(postgres_server: Any, postgres_database: str) -> Iterator[str]:
    # Fewer connections than the nodes hold: one statement of a node meets another server than the one before it.
    bouncer = PgBouncer(postgres_server.port, pool=3)
    yield bouncer.dsn(postgres_database)
    bouncer.stop()


async def test_two_nodes_share_take_over_and_hear_of_each_other(make_node: MakeNode, kill: Any, pooled: str) -> None:
    one, two = make_node("a", POOLED, pooled), make_node("b", POOLED, pooled)
    await one.keeper.start()
    await two.keeper.start()
    async with asyncio.timeout(30):
        await two.until(lambda: bool(two.ownership.shards()))
        mine = next(iter(one.ownership.shards()))
        run_id = await one.open(mine)
        await asyncio.gather(*(one.open(mine) for _ in range(50)))
        await two.commit(
            lambda changes: changes.messages.append(two.message(run_id)), next(iter(two.ownership.shards()))
        )
        await one.until(lambda: run_id in one.mail)
        kill(one)
        await two.until(lambda: two.ownership.shards() == ALL)
    assert two.ownership.owns(shard_of(run_id))
    assert [segment.first_seq for segment in await two.reader.journal(run_id)] == [0]
    assert [message.message_id for message in await two.reader.messages(run_id)] == ["m"]
