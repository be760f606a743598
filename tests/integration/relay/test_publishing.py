"""Subscriptions that publish: every accepted event that one wants is at the broker, whoever dies in between."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.relay.test_relay import Reader, metrics_of, order, serve
from tests.integration.relay.test_relay import prefix as prefix  # noqa: PLC0414 - a fixture
from tests.integration.service.conftest import Downstream, World
from tests.servers.brokers import SERVERS, Server

from rco.config.settings import Settings
from rco.errors import ConfigInvalid
from rco.model.subscription import Publish, Subscription

pytestmark = pytest.mark.timeout(300)
APP = """
from rco.workflow import Context, workflow

@workflow
async def sell(ctx: Context, order: int) -> None:
    await ctx.emit("order.sold", {"data": {"order": order}}, subject=str(order))
"""


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = SERVERS[request.param]()
    try:
        yield server
    finally:
        server.stop()


class Publishing(World):
    """A service with a subscription that publishes."""

    def __init__(self, folder: Path, downstream: Downstream, server: Server, topic: str) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.server, self.topic = server, topic
        self.where: str | None = ".data.data.order != 13"

    def settings(self, **more: Any) -> Settings:
        settings = super().settings(brokers={"events": self.server.settings(timeout_s=5.0)}, **more)
        publish = Publish(broker="events", topic=self.topic, key=".data.data.order")
        one = Subscription(name="out", type="order.*", where=self.where, publish=publish)
        return msgspec.structs.replace(settings, subscriptions=[*settings.subscriptions, one])


@pytest.fixture
async def world(tmp_path: Path, server: Server, prefix: str) -> AsyncIterator[Publishing]:
    downstream = Downstream()
    await downstream.start()
    world = Publishing(tmp_path, downstream, server, f"out.{prefix}.v1")
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


def of(seen: dict[str, dict[str, Any]]) -> set[int]:
    return {one["data"]["data"]["order"] for one in seen.values()}


async def test_what_is_accepted_and_what_is_emitted_is_published(
    world: Publishing, server: Server, prefix: str
) -> None:
    for number in range(10, 16):
        assert (await world.send(f"{prefix}-{number}", "order.paid", {"order": number}))[0] == 202
    # A repeat is no second event.
    assert (await world.send(f"{prefix}-10", "order.paid", {"order": 10}))[0] == 202
    async with Reader(server, f"reader-{prefix}") as reader:
        told = await reader.until(world.topic, lambda seen: len(seen) >= 5, "order.paid")
        assert of(told) == {10, 11, 12, 14, 15}
        assert {one["id"] for one in told.values()} == {f"{prefix}-{number}" for number in (10, 11, 12, 14, 15)}
        assert all(one["source"] and one["specversion"] == "1.0" for one in told.values())
    decisions = [one for one in await world.decisions() if one["verb"] == "publish"]
    assert len(decisions) == 5
    # Names of places and of the event; nothing that was in it.
    assert all(one["facts"].keys() == {"broker", "topic", "namespace", "source", "key"} for one in decisions)


async def test_what_a_run_emits_is_published(world: Publishing, server: Server, prefix: str) -> None:
    started = await world.client.start("sell", 99)
    await world.end(started.id)
    async with Reader(server, f"reader-{prefix}") as reader:
        told = await reader.until(world.topic, lambda seen: len(seen) >= 1, "order.sold")
        (event,) = told.values()
        assert (event["subject"], event["data"]) == ("99", {"data": {"order": 99}})


async def test_a_broker_that_was_away_gets_all_of_it(world: Publishing, server: Server, prefix: str) -> None:
    server.kill()
    try:
        for number in range(20, 26):
            assert (await world.send(f"{prefix}-{number}", "order.paid", {"order": number}))[0] == 202
        await world.again()
        assert "rco_feed_behind_links" in await metrics_of(world)
    finally:
        server.start()
    async with Reader(server, f"reader-{prefix}") as reader:
        told = await reader.until(world.topic, lambda seen: len(seen) >= 6, "order.paid")
        assert of(told) == set(range(20, 26))


async def test_an_event_that_is_gone_is_counted_and_holds_nothing_up(
    world: Publishing, server: Server, prefix: str
) -> None:
    server.kill()
    try:
        assert (await world.send(f"{prefix}-1", "order.paid", {"order": 1}))[0] == 202
        assert (await world.send(f"{prefix}-2", "order.paid", {"order": 2}))[0] == 202
        # What a feed had read of the first is forgotten with this life.
        await world.stop()
        # As retention would, if it were told to keep events for less than a broker is away.
        connection = sqlite3.connect(world.folder / "data" / "rco.db")
        with connection:
            connection.execute("DELETE FROM event WHERE id = ?", (f"{prefix}-1",))
        connection.close()
    finally:
        server.start()
    await world.start()
    async with Reader(server, f"reader-{prefix}") as reader:
        told = await reader.until(world.topic, lambda seen: len(seen) >= 1, "order.paid")
        assert of(told) == {2}
    assert 'rco_feed_gone_total{broker="events"} 1' in await metrics_of(world)


async def test_a_reload_may_add_one(world: Publishing, server: Server, prefix: str) -> None:
    settings = world.settings()
    other = Subscription(name="more", type="order.*", publish=Publish(broker="events", topic=f"more.{prefix}.v1"))
    await world.service.reload(msgspec.structs.replace(settings, subscriptions=[*settings.subscriptions, other]))
    assert (await world.send(f"{prefix}-1", "order.paid", {"order": 1}))[0] == 202
    async with Reader(server, f"reader-{prefix}") as reader:
        await reader.until(f"more.{prefix}.v1", lambda seen: len(seen) >= 1, "order.paid")
    with pytest.raises(ConfigInvalid, match="brokers"):
        await world.service.reload(msgspec.structs.replace(settings, brokers={}))


@pytest.mark.parametrize("server", ["nats", "redis"], indirect=True)
async def test_a_killed_service_publishes_every_event(tmp_path: Path, server: Server, prefix: str) -> None:
    """Events come while the service is killed again and again; every one of them is published in the end."""
    (tmp_path / "app.py").write_text(APP)
    topic, out, count = f"in.{prefix}.v1", f"out.{prefix}.v1", 160
    (tmp_path / "rco.yaml").write_text(
        f"app: {tmp_path}/app.py\ndata_dir: {tmp_path}/data\n"
        "server: {bind_addr: '127.0.0.1:0', metrics_addr: '127.0.0.1:0'}\n"
        f"brokers: {{events: {{kind: {server.kind}, url: '{server.url()}', claim_after: 1s}}}}\n"
        f"sources: {{orders: {{broker: events, topic: {topic}, group: rco, batch: 7}}}}\n"
        f"subscriptions: [{{name: out, type: 'order.*', publish: {{broker: events, topic: {out}}}}}]\n"
    )
    subprocess.run([sys.executable, "-m", "rco", "migrate", "--config", tmp_path / "rco.yaml"], check=True)
    async with Reader(server, f"writer-{prefix}") as writer:
        node = serve(tmp_path)
        try:
            for start in range(0, count, 20):
                await writer.publish([order(topic, n) for n in range(start, start + 20)])
                if start % 40 == 20:
                    await asyncio.sleep(0.5)
                    node.send_signal(signal.SIGKILL)
                    node.wait(30)
                    node = serve(tmp_path)
            wanted = {f"{topic}-{n}" for n in range(count)}
            async with Reader(server, f"told-{prefix}") as told:
                seen = await told.until(out, lambda seen: seen.keys() >= wanted, "order.paid")
                assert seen.keys() == wanted
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(30)
