"""The connection is cut when the server has the statement and the node has no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.integration.postgres.conftest import SHORT
from tests.servers.proxy import Proxy

from rco.store.contract.changes import Claim


@pytest.fixture
async def cut(postgres_server: Any) -> AsyncIterator[Proxy]:
    proxy = Proxy(postgres_server.port)
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.mark.parametrize("arrived", [True, False], ids=["committed", "never arrived"])
async def test_an_answer_that_was_lost_is_found_out(
    cut: Proxy, make_node: Any, arrived: bool, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a", dsn=postgres_server.dsn(postgres_database, cut.port))
    await node.keeper.start()
    ns: list[int] = []
    node.writer.on_flush(lambda flushed: ns.append(flushed.n))
    run_id = await node.open(0)
    direct = make_node("watcher").reader
    await direct.begin()
    for turn in range(20):
        row = node.row(0)
        claim = Claim(bytes((turn,)) * 32, f"corr-{turn}", 1 << 60)
        # The new run's id is in the flush, and not in what is looked up before it.
        cut.catch, cut.lose = row.run_id, not arrived
        cut.caught.clear()
        admitted = asyncio.ensure_future(
            node.admit(claim=claim, opened=[(row, b"start")], messages=[node.message(run_id, f"m{turn}")])
        )
        await cut.caught.wait()
        while arrived and await direct.run(row.run_id) is None:
            await asyncio.sleep(0)
        cut.cut()
        cut.passing.set()
        verdict = await admitted
        # It was accepted once, and is told so: its own claim is not taken for somebody else's.
        assert verdict.status == "accepted", turn
        assert await direct.run(row.run_id) is not None
    assert ns == list(range(1, 22))
    assert len(await direct.messages(run_id)) == 20
    links = await direct.seals(1, 100, "a/0")
    assert [link.n for link in links] == ns
    assert [link.prev for link in links[1:]] == [link.hash for link in links[:-1]]
    # Whose runs were woken is found by looking.
    await node.until(lambda: run_id in node.mail)
    assert node.failures == []
    await direct.stop()


async def test_a_server_that_is_away_is_waited_for(
    cut: Proxy, make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a", dsn=postgres_server.dsn(postgres_database, cut.port))
    await node.keeper.start()
    cut.refuse = True
    cut.cut()
    opened = asyncio.ensure_future(node.open(0))
    # Longer than the lease: nothing may be sent any more, and nothing is given up.
    while node.ownership.act_until_s > node.clock.monotonic():
        await asyncio.sleep(0.02)
    assert not opened.done()
    assert node.writer.backlog > 0
    renewed = asyncio.Event()
    node.ownership.on_renewed(renewed.set)
    cut.refuse = False
    run_id = await opened
    await renewed.wait()
    assert node.ownership.act_until_s > node.clock.monotonic()
    assert await node.reader.run(run_id) is not None
    assert node.failures == []


async def test_a_server_that_crashes_and_comes_back_has_every_commit(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    node = make_node("a")
    await node.keeper.start()
    told: list[bytes] = []

    async def open_many() -> None:
        for _ in range(60):
            run_id = await node.open(0)
            told.append(run_id)

    async def crash() -> None:
        while len(told) < 40:
            await asyncio.sleep(0)
        await asyncio.to_thread(postgres_server.stop_now)
        await asyncio.to_thread(postgres_server.start)

    await asyncio.gather(*(open_many() for _ in range(4)), crash())
    assert len(told) == 240
    for run_id in told:
        assert await node.reader.run(run_id) is not None
    assert node.failures == []


async def test_connections_that_have_fallen_silent_are_given_up_for_new_ones(
    cut: Proxy, make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    """Nobody says that they are gone. The patience that reads may have is no measure for a heartbeat."""
    options = msgspec.structs.replace(SHORT, answer_timeout_s=3600.0)
    node = make_node("a", options, dsn=postgres_server.dsn(postgres_database, cut.port))
    await node.keeper.start()
    await node.open(0)
    # One of the reader's own, too.
    assert await node.reader.messages(b"") == []
    cut.mute()
    before_s = node.clock.monotonic()
    assert await node.reader.messages(b"") == []
    # By flush, heartbeat, and look for messages alike.
    run_id = await node.open(0)
    while node.ownership.act_until_s < before_s + options.ttl_s:
        await asyncio.sleep(0.02)
    await node.admit(messages=[node.message(run_id)])
    await node.until(lambda: run_id in node.mail)
    assert node.failures == []
