"""Order by key over several nodes: what was acknowledged first is delivered first, whichever nodes took it, whatever
their clocks say, and whoever dies."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.integration.service.conftest import Downstream
from tests.integration.webhooks.cluster import PATIENCE_S, Cluster, sent
from tests.integration.webhooks.conftest import Hooked, Receiver
from tests.servers.postgres import PostgresServer

from rco.model.wire_endpoints import CreateEndpoint

pytestmark = pytest.mark.timeout(400)
KEYS, EVENTS = 8, 12


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    if receiver.hold is not None:
        receiver.hold.set()
    await receiver.stop()


def first_of(receiver: Receiver) -> dict[str, list[int]]:
    """By key, the numbers of its messages in the order in which each came for the first time."""
    found: dict[str, list[int]] = defaultdict(list)
    for _, _, body in receiver.seen:
        data = json.loads(body)["data"]["data"]
        if data["number"] not in found[data["key"]]:
            found[data["key"]].append(data["number"])
    return found


async def test_a_key_is_delivered_in_the_order_of_its_acceptance(
    tmp_path: Path, server: PostgresServer, receiver: Receiver
) -> None:
    cluster = Cluster(tmp_path, server.dsn(server.database()))
    hooked = Hooked(tmp_path, Downstream(), receiver)
    await cluster.start()
    try:
        ask = CreateEndpoint(url=receiver.url + "/hook", types=["order.*"], order_by=".data.data.key")
        made = await cluster.client.endpoints.create(ask)
        # Every node knows of it, and of the queue, before what counts is sent.
        async with aiohttp.ClientSession() as session:
            for at, node in enumerate(cluster.nodes):
                before = len(receiver.seen)
                async with asyncio.timeout(PATIENCE_S):
                    while len(receiver.seen) == before:
                        name = f"warm-{at}-{time.monotonic_ns()}"
                        await sent(session, hooked, [node], 0, name, {"key": f"warm{at}", "number": 0})
                        await asyncio.sleep(0.3)
            receiver.hold = asyncio.Event()

            async def sender(key: int) -> None:
                for number in range(EVENTS):
                    data = {"key": f"k{key}", "number": number}
                    # The next one leaves when this one is acknowledged: that is the order there is.
                    await sent(session, hooked, cluster.nodes, key + number, f"k{key}-{number}", data)

            senders = [asyncio.create_task(sender(key)) for key in range(KEYS)]
            await asyncio.wait(senders, return_when=asyncio.FIRST_COMPLETED)
            # Nothing of it is done yet, some of it is under way, and one of the three dies.
            cluster.nodes[2].kill()
            await asyncio.gather(*senders)
        receiver.hold.set()
        async with asyncio.timeout(PATIENCE_S):
            while sum(len(one) for key, one in first_of(receiver).items() if key.startswith("k")) < KEYS * EVENTS:
                await asyncio.sleep(0.1)
        for key, numbers in sorted(first_of(receiver).items()):
            if key.startswith("k"):
                assert numbers == sorted(numbers), f"{key} of {made.endpoint.id}: {numbers}"
    finally:
        await cluster.stop()


async def test_a_rate_holds_over_all_nodes(tmp_path: Path, server: PostgresServer, receiver: Receiver) -> None:
    cluster = Cluster(tmp_path, server.dsn(server.database()))
    hooked = Hooked(tmp_path, Downstream(), receiver)
    await cluster.start()
    try:
        ask = CreateEndpoint(url=receiver.url + "/hook", types=["order.*"], rate_per_s=8, burst=1)
        made = await cluster.client.endpoints.create(ask)
        count = 40
        async with aiohttp.ClientSession() as session:
            # Nodes hear of an endpoint within half a second; what is sent before then is not for it.
            async with asyncio.timeout(PATIENCE_S):
                for at in range(len(cluster.nodes)):
                    before = len(receiver.seen)
                    while len(receiver.seen) == before:
                        name = f"warm-{at}-{time.monotonic_ns()}"
                        await sent(session, hooked, [cluster.nodes[at]], 0, name, {"key": "warm", "number": -1})
                        await asyncio.sleep(0.3)
            for number in range(count):
                await sent(session, hooked, cluster.nodes, number, f"r-{number}", {"key": "k", "number": number})
        async with asyncio.timeout(PATIENCE_S):
            while len(counted(receiver)) < count:
                await asyncio.sleep(0.1)
        assert made.endpoint.rate_per_s == 8
        # However slow the machine is, they are no closer together than that: one node alone would take as long.
        arrived_s = counted(receiver)
        took_s = arrived_s[-1] - arrived_s[0]
        assert took_s >= (count - 1) / 8 - 0.5
        assert "rco_webhook_held_back_total" in await _metrics(cluster)
    finally:
        await cluster.stop()


def counted(receiver: Receiver) -> list[float]:
    """When each message that is no warming up came."""
    every = zip(receiver.seen, receiver.at_s, strict=True)
    return [at_s for (_, _, body), at_s in every if json.loads(body)["data"]["data"]["number"] >= 0]


async def _metrics(cluster: Cluster) -> str:
    text = ""
    async with aiohttp.ClientSession() as session:
        for node in cluster.nodes:
            port = (node.folder / "rco.yaml").read_text().partition("metrics_addr: '127.0.0.1:")[2].partition("'")[0]
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                text += await answer.text()
    return text
