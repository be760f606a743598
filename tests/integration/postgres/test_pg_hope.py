"""Admissions that nothing stands in the way of are one exchange; whoever finds something is careful for a while."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from rco.model.message import Message
from rco.store.contract.changes import Claim, StartKey
from rco.store.postgres import admit, flusher

DAY_US = 86_400_000_000


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked before flushes."""
    asked: list[str] = []
    genuine = admit.fetch

    async def fetch(connection: Any, options: Any, sql: str, values: tuple[Any, ...]) -> Any:
        asked.append(sql)
        return await genuine(connection, options, sql, values)

    monkeypatch.setattr(admit, "fetch", fetch)
    monkeypatch.setattr(flusher, "_CAREFUL", 3)
    return asked


def claim(node: Any, digest: bytes, corr_id: str = "first") -> Claim:
    return Claim(digest, corr_id, node.clock.now_us() + DAY_US)


async def test_one_exchange_until_something_stands_in_the_way(make_node: Any, looked: list[str]) -> None:
    node = make_node("a")
    await node.keeper.start()
    first = os.urandom(32)
    assert (await node.admit(0, claim=claim(node, first))).status == "accepted"
    for _ in range(5):
        assert (await node.admit(0, claim=claim(node, os.urandom(32)))).status == "accepted"
    assert looked == []
    found = await node.admit(0, claim=claim(node, first, "again"))
    assert (found.status, found.corr_id) == ("duplicate", "first")
    # Found by the flush, then looked up: so is what comes next.
    assert len(looked) == 1
    for _ in range(6):
        assert (await node.admit(0, claim=claim(node, os.urandom(32)))).status == "accepted"
    assert len(looked) == 1 + 3
    # As long as repeats come, each is found by looking, and no transaction fails for them.
    for _ in range(2):
        assert (await node.admit(0, claim=claim(node, first))).status == "duplicate"
    assert len(looked) == 1 + 3 + 2


async def test_start_keys_are_found_by_the_flush_as_well(make_node: Any, looked: list[str]) -> None:
    node = make_node("a")
    await node.keeper.start()
    run_id, other = node.ids.uuid7(0), node.ids.uuid7(0)
    key = StartKey("default", "k", b"r" * 32, run_id)
    assert (await node.admit(0, start_keys=[key])).status == "accepted"
    assert looked == []
    found = await node.admit(0, start_keys=[StartKey("default", "k", b"r" * 32, other)])
    assert (found.status, found.run_id) == ("duplicate", run_id)
    found = await node.admit(0, start_keys=[StartKey("default", "k", b"x" * 32, other)])
    assert (found.status, found.run_id) == ("conflict", run_id)
    assert len(looked) == 2


async def test_two_nodes_hope_for_the_same_and_one_has_it(make_node: Any, looked: list[str]) -> None:
    nodes = [make_node(name) for name in "ab"]
    for node in nodes:
        await node.keeper.start()
    for _ in range(10):
        digest = os.urandom(32)
        asked = [node.admit(0, claim=claim(node, digest, node.name)) for node in nodes]
        found = await asyncio.gather(*asked)
        assert sorted(one.status for one in found) == ["accepted", "duplicate"]
        (winner,) = [node.name for node, one in zip(nodes, found, strict=True) if one.status == "accepted"]
        assert {one.corr_id for one in found if one.status == "duplicate"} == {winner}
    assert looked


async def test_what_must_be_open_is_looked_up(make_node: Any, looked: list[str]) -> None:
    node = make_node("a")
    await node.keeper.start()
    message = Message(node.ids.uuid7(0), "m", "signal", "s", b"", 1)
    assert (await node.admit(0, messages=[message])).status == "closed"
    assert len(looked) == 1
