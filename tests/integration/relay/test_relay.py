"""Evidence out to real brokers, events in from them, over the death of either side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from tests.integration.service.conftest import Downstream, World
from tests.servers.brokers import SERVERS, Server

from rco.brokers.contract import Outgoing
from rco.brokers.opening import open_broker
from rco.config.settings import Settings
from rco.errors import BrokerAway
from rco.relay.options import PublishSettings, SourceSettings
from rco.relay.topics import AUDIT, BROWNOUT, CONFIG, PUT, SHUTDOWN, TOPICS, WEBHOOK

pytestmark = pytest.mark.timeout(300)
APP = """
from rco.workflow import Context, workflow

@workflow(on="order.paid")
async def note(ctx: Context, event: dict) -> dict:
    return event
"""


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = SERVERS[request.param]()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def prefix() -> str:
    return f"t{os.urandom(4).hex()}"


class Relayed(World):
    """A service that tells one broker, and takes from it."""

    def __init__(self, folder: Path, downstream: Downstream, server: Server, topic: str) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.server, self.topic = server, topic

    def settings(self, **more: Any) -> Settings:
        return super().settings(
            brokers={"events": self.server.settings(timeout_s=5.0)},
            publish=[PublishSettings(broker="events")],
            sources={"orders": SourceSettings(broker="events", topic=self.topic, group="rco")},
            **more,
        )


@pytest.fixture
async def world(tmp_path: Path, server: Server, prefix: str) -> AsyncIterator[Relayed]:
    downstream = Downstream()
    await downstream.start()
    world = Relayed(tmp_path, downstream, server, f"orders.{prefix}.v1")
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


class Reader:
    """Reads topics as a consumer would, and drops repeats by their identity."""

    def __init__(self, server: Server, group: str) -> None:
        self._broker = open_broker("reader", server.settings(timeout_s=5.0), lambda text: text, group)
        self._group = group
        self._sources: dict[str, Any] = {}
        self.seen: dict[str, dict[str, dict[str, Any]]] = {}

    async def __aenter__(self) -> Self:
        await patiently(self._broker.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        for source in self._sources.values():
            await source.stop()
        await self._broker.stop()

    async def until(
        self, topic: str, enough: Callable[[dict[str, dict[str, Any]]], bool], type: str = ""
    ) -> dict[str, dict[str, Any]]:
        seen = self.seen.setdefault(topic, {})
        async with asyncio.timeout(120):
            if topic not in self._sources:
                self._sources[topic] = await patiently(lambda: self._broker.source(topic, self._group))
            while not enough(seen):
                try:
                    taken = await self._sources[topic].take(100, 0.5)
                    await self._sources[topic].settle(taken)
                except BrokerAway:
                    await asyncio.sleep(0.1)
                    continue
                for one in taken:
                    event = json.loads(one.body)
                    assert event["type"] == (type or topic)
                    seen[event["id"]] = event
        return seen

    async def publish(self, messages: list[Outgoing]) -> None:
        await patiently(lambda: self._broker.publish(messages))


async def patiently(ask: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(120):
        while True:
            try:
                return await ask()
            except BrokerAway:
                await asyncio.sleep(0.1)


def order(topic: str, number: int, key: str = "") -> Outgoing:
    body = {
        "specversion": "1.0",
        "id": f"{topic}-{number}",
        "source": "/shop",
        "type": "order.paid",
        "data": {"order": number},
    }
    return Outgoing(topic, key or f"k{number % 5}", f"{topic}-{number}", json.dumps(body).encode())


def of_events(seen: dict[str, dict[str, Any]]) -> set[str]:
    return {one["data"]["event"] for one in seen.values()}


async def test_what_is_decided_is_told_once_for_each_decision(world: Relayed, server: Server, prefix: str) -> None:
    accepted = set()
    for n in range(20):
        status, _ = await world.send(f"{prefix}-{n}", "order.paid", {"order": n})
        assert status == 202
        accepted.add(f"{prefix}-{n}")
    assert (await world.send(f"{prefix}-0", "order.paid", {"order": 0}))[0] == 202
    assert (await world.post(b"{}", {"webhook-id": "forged", "content-type": "application/json"}))[0] == 401
    async with Reader(server, f"reader-{prefix}") as reader:
        told = await reader.until(WEBHOOK, lambda seen: of_events(seen) >= accepted)
        ours = [one for one in told.values() if one["data"]["event"] in accepted]
        # The repeat of number 0 was recognised: no second acceptance is told.
        assert len(ours) == 20
        assert all(one["specversion"] == "1.0" and one["data"]["corr_id"] for one in ours)
        corr_ids = {one["data"]["corr_id"] for one in ours}
        audit = await reader.until(
            AUDIT, lambda seen: {one["data"].get("corr_id") for one in seen.values()} >= corr_ids
        )
        assert {"accept", "start", "close"} <= {one["data"]["verb"] for one in audit.values()}
        # Names, digests and reasons; never what was sent.
        assert not any('"order": 1' in json.dumps(one) for one in audit.values())
        await world.stop()
        await reader.until(SHUTDOWN, lambda seen: len(seen) > 0)
    await world.start()


async def test_a_broker_that_was_away_is_told_all_of_it(world: Relayed, server: Server, prefix: str) -> None:
    await world.send(f"{prefix}-first", "order.paid", {})
    server.kill()
    accepted = {f"{prefix}-first"}
    try:
        for n in range(10):
            status, _ = await world.send(f"{prefix}-{n}", "order.paid", {"order": n})
            # The broker's being away is no affair of senders.
            assert status == 202
            accepted.add(f"{prefix}-{n}")
        metrics = await metrics_of(world)
        assert "rco_feed_behind_links" in metrics
    finally:
        server.start()
    async with Reader(server, f"reader-{prefix}") as reader:
        await reader.until(WEBHOOK, lambda seen: of_events(seen) >= accepted)


async def metrics_of(world: World) -> str:
    async with world.session.get(f"{world.service.metrics_url}/metrics") as response:
        return await response.text()


async def test_what_a_broker_brings_starts_runs_once(world: Relayed, server: Server, prefix: str) -> None:
    async with Reader(server, f"writer-{prefix}") as writer:
        await writer.publish([order(world.topic, n) for n in range(30)])
        await world.until(lambda: closed(world, 30))
        # In the next life what was settled does not come again, and what comes again is recognised.
        await world.again()
        await writer.publish([order(world.topic, n) for n in range(30, 35)])
        await world.until(lambda: closed(world, 35))
    rows = await world.rows(workflow="note")
    assert len(rows) == 35
    given = [record.body["input"] for row in rows for record in (await world.records(id_of(row)))[:1]]
    assert sorted(one["data"]["order"] for one in given) == list(range(35))


def id_of(row: Any) -> str:
    from rco.kit.ids import id_text

    return id_text(row.run_id)


async def closed(world: Relayed, count: int) -> bool:
    from rco.model.run import Mode

    return len([row for row in await world.rows(workflow="note") if row.mode is Mode.CLOSED]) >= count


async def test_what_is_no_event_is_kept_with_its_cause_and_holds_nothing_up(
    world: Relayed, server: Server, prefix: str
) -> None:
    bad = [
        b"not json",
        b'{"type": "order.paid"}',
        b'{"specversion": "0.3", "id": "1", "source": "/s", "type": "order.paid"}',
        b'{"specversion": "1.0", "source": "/s", "type": "order.paid"}',
        b'{"specversion": "1.0", "id": "1", "source": "/s", "type": "order.paid", "data_base64": "AA=="}',
        b'{"specversion": "1.0", "id": "1", "source": "/s", "type": "order.paid", "time": "yesterday"}',
        b"\xff\xfe",
        b"[" * 5000,
    ]
    async with Reader(server, f"writer-{prefix}") as writer:
        await writer.publish([Outgoing(world.topic, "k", f"bad-{n}", body) for n, body in enumerate(bad)])
        await writer.publish([order(world.topic, 1, key="k")])
        await world.until(lambda: closed(world, 1))
    letters = await world.service._desk.reader.letters("default", replayed=False, limit=50)
    assert len(letters) == len(bad)
    assert all(one.subscription == "source:orders" and one.cause for one in letters)
    assert not any("\xff" in one.cause or "not json" in one.cause for one in letters)
    decisions = [one for one in await world.decisions() if one["verb"] == "dead_letter"]
    assert len(decisions) == len(bad)
    assert all(one["allow"] is False and one["actor"] == "provider:orders" for one in decisions)


def test_topics_are_what_the_contract_names() -> None:
    assert set(TOPICS) == {WEBHOOK, PUT, AUDIT, BROWNOUT, SHUTDOWN, CONFIG}


@pytest.mark.parametrize("server", ["nats", "redis"], indirect=True)
async def test_a_killed_service_loses_and_doubles_nothing(tmp_path: Path, server: Server, prefix: str) -> None:
    """Messages come while the service is killed again and again; every one of them has one run in the end."""
    (tmp_path / "app.py").write_text(APP)
    topic, count = f"orders.{prefix}.v1", 200
    (tmp_path / "rco.yaml").write_text(
        f"app: {tmp_path}/app.py\ndata_dir: {tmp_path}/data\n"
        "server: {bind_addr: '127.0.0.1:0', metrics_addr: '127.0.0.1:0'}\n"
        f"brokers: {{events: {{kind: {server.kind}, url: '{server.url()}', claim_after: 1s}}}}\n"
        "publish: [{broker: events, topics: [interop.webhook.accepted.v1]}]\n"
        f"sources: {{orders: {{broker: events, topic: {topic}, group: rco, batch: 7}}}}\n"
    )
    subprocess.run([sys.executable, "-m", "rco", "migrate", "--config", tmp_path / "rco.yaml"], check=True)
    async with Reader(server, f"writer-{prefix}") as writer:
        node = serve(tmp_path)
        try:
            for start in range(0, count, 20):
                await writer.publish([order(topic, n) for n in range(start, start + 20)])
                if start % 60 == 40:
                    node.send_signal(signal.SIGKILL)
                    node.wait(30)
                    node = serve(tmp_path)
            wanted = {f"{topic}-{n}" for n in range(count)}
            async with Reader(server, f"told-{prefix}") as told:
                ours = await told.until(WEBHOOK, lambda seen: of_events(seen) >= wanted)
                assert sum(one["data"]["event"] in wanted for one in ours.values()) == count
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(30)
    rows = await runs_in(tmp_path / "data" / "rco.db")
    assert len(rows) == count


def serve(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "said").open("ab") as said:
        command = [sys.executable, "-m", "rco", "serve", "--config", str(folder / "rco.yaml")]
        return subprocess.Popen(command, stdout=said, stderr=said)


async def runs_in(database: Path) -> list[Any]:
    import sqlite3

    connection = sqlite3.connect(database)
    try:
        return connection.execute(
            "SELECT run_id FROM run WHERE workflow = 'note' UNION SELECT run_id FROM closed_run WHERE workflow = 'note'"
        ).fetchall()
    finally:
        connection.close()
