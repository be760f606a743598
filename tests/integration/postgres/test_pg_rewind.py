"""A database that lost commits which it had acknowledged, as after a fail-over to a standby that was behind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rco.audit.chain import ChainSealer
from rco.audit.export import export
from rco.audit.verify import verify
from rco.errors import Conflict, StoreError
from rco.store.contract.rewind import Rewind
from rco.store.postgres import PostgresOptions
from rco.store.postgres.operate import CHAIN, accept_rewinds

EVEN = frozenset(range(0, 256, 2))


def told(node: Any) -> list[Rewind]:
    rewinds: list[Rewind] = []
    node.keeper.on_rewound(rewinds.append)
    return rewinds


async def decisions(node: Any, chain: str) -> list[dict[str, Any]]:
    return [one for seal in await node.reader.seals(1, 100, chain) for one in json.loads(seal.decisions)]


async def beats(node: Any, count: int = 3) -> None:
    """Wait until the node has looked at its leases so often."""
    for _ in range(count):
        seen = node.keeper._leases.view
        while node.keeper._leases.view is seen:
            await asyncio.sleep(0.02)


async def test_its_shards_stand_still_until_somebody_accepts(
    make_node: Any, postgres_server: Any, postgres_database: str, postgres_dsn: str
) -> None:
    node = make_node("a")
    rewinds = told(node)
    await node.keeper.start()
    kept = await node.open(1)
    for _ in range(3):
        await node.open(0)
    postgres_server.query(postgres_database, "DELETE FROM seal WHERE chain = 'a/0' AND n > 1")
    with pytest.raises(StoreError, match="history was rewound: chain a/0 stands at link 1, this node wrote 3"):
        await node.open(0)
    # What the other connection wrote is whole, and goes on.
    assert node.ownership.shards() == frozenset(range(256)) - EVEN
    await node.commit(lambda c: None, 1)
    assert await node.reader.run(kept) is not None
    assert node.failures == []
    assert [(one.chain, one.known_n, one.found_n, frozenset(one.shards)) for one in rewinds] == [("a/0", 3, 1, EVEN)]
    await node.commit(lambda c: None, 0)
    [said] = [one for one in await decisions(node, "a/0") if one["reason"] == "history rewound"]
    assert (said["verb"], said["allow"], said["facts"]["known"]) == ("reconcile", False, 3)

    # Neither this node nor another has them, nor a new life of this one.
    other = make_node("b")
    await other.keeper.start()
    await beats(node)
    await beats(other)
    assert not (node.ownership.shards() | other.ownership.shards()) & EVEN
    await node.keeper.stop()
    again = make_node("a")
    await again.keeper.start()
    await beats(again)
    assert not again.ownership.shards() & EVEN

    accept = {"actor": "operator:ada", "reason": "compared with the bank", "at_us": 5}
    assert await accept_rewinds(postgres_dsn, PostgresOptions(), ChainSealer(), **accept) == ["a/0"]
    await again.until(lambda: bool(again.ownership.shards() & EVEN))
    await other.until(lambda: bool(other.ownership.shards() & EVEN))
    [accepted] = await decisions(again, CHAIN)
    assert (accepted["actor"], accepted["subject"], accepted["facts"]["why"]) == (
        *("operator:ada", "a/0"),
        "compared with the bank",
    )
    with pytest.raises(Conflict, match="no lost commits"):
        await accept_rewinds(postgres_dsn, PostgresOptions(), ChainSealer(), **accept)
    verdict = verify([line async for line in export(again.reader)])
    assert verdict.ok, verdict.problems


async def test_an_idle_node_notices_at_its_heartbeat(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a")
    rewinds = told(node)
    await node.keeper.start()
    await node.open(0)
    await node.open(0)
    postgres_server.query(postgres_database, "DELETE FROM seal WHERE chain = 'a/0' AND n = 2")
    await node.until(lambda: bool(node.left))
    assert [(one.known_n, one.found_n) for one in rewinds] == [(2, 1)]
    assert node.failures == []


async def test_a_node_that_the_database_has_forgotten_ends_and_its_shards_stand_still(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a")
    rewinds = told(node)
    await node.keeper.start()
    await node.open(0)
    # As it was before this node came.
    for statement in ("DELETE FROM seal", "DELETE FROM node", "UPDATE lease SET owner = NULL, epoch = 0"):
        postgres_server.query(postgres_database, statement)
    await node.until(lambda: bool(node.failures))
    assert "history was rewound" in str(node.failures[0])
    assert [one.chain for one in rewinds] == ["a/0"]
    other = make_node("b")
    await other.keeper.start()
    await beats(other)
    assert other.ownership.shards() == frozenset()


async def test_nothing_is_put_aside_when_nothing_is_lost(make_node: Any, postgres_server: Any) -> None:
    node = make_node("a")
    rewinds = told(node)
    await node.keeper.start()

    async def write() -> None:
        for _ in range(150):
            await node.open(0)

    await asyncio.gather(*(write() for _ in range(4)))
    await beats(node)
    assert rewinds == []
    assert node.failures == []
