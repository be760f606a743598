"""What a broker promises, asked of each real one: at least once in both directions, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.servers.brokers import SERVERS, Server

from rco.brokers.contract import BODY_LIMIT_BYTES, Broker, Incoming, Outgoing, Source
from rco.brokers.opening import open_broker
from rco.errors import BrokerAway, BrokerRefused

pytestmark = pytest.mark.timeout(240)
_NAMES = iter(range(10_000))


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = SERVERS[request.param]()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def broker(server: Server) -> AsyncIterator[Broker]:
    broker = opened(server)
    await until_started(broker)
    try:
        yield broker
    finally:
        await broker.stop()


@pytest.fixture
def topic() -> str:
    return f"orders.{os.getpid()}.{next(_NAMES)}.v1"


def opened(server: Server, member: str = "node-a", **more: object) -> Broker:
    return open_broker("events", server.settings(**more), lambda text: text, member)


async def until_started(broker: Broker) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                await broker.start()
            except BrokerAway:
                await asyncio.sleep(0.1)
            else:
                return


def message(topic: str, number: int, key: str = "k", body: bytes | None = None) -> Outgoing:
    return Outgoing(topic, key, f"m-{number}", body or b'{"n":%d}' % number, {"type": "order.created"})


async def take(source: Source, count: int, limit: int = 100) -> list[Incoming]:
    """``count`` messages, however many asks it takes."""
    found: list[Incoming] = []
    async with asyncio.timeout(120):
        while len(found) < count:
            try:
                found += await source.take(limit, 1.0)
            except BrokerAway:
                await asyncio.sleep(0.1)
    return found


async def publish(broker: Broker, messages: list[Outgoing]) -> None:
    """As who publishes does: the same again until it is known to be kept."""
    async with asyncio.timeout(120):
        while True:
            try:
                await broker.publish(messages)
            except BrokerAway:
                await asyncio.sleep(0.1)
            else:
                return


def numbers(taken: list[Incoming]) -> list[int]:
    return [int(one.body.split(b":")[1].rstrip(b"}")) for one in taken]


async def test_what_is_published_is_taken_in_the_order_of_its_key(broker: Broker, topic: str) -> None:
    await broker.publish([message(topic, n, key=f"k{n % 3}") for n in range(60)])
    source = await broker.source(topic, "readers")
    taken = await take(source, 60)
    assert sorted(numbers(taken)) == list(range(60))
    for key in ("k0", "k1", "k2"):
        of_key = numbers([one for one in taken if one.key == key])
        assert of_key == sorted(of_key)
    assert all(one.headers["type"] == "order.created" for one in taken)
    assert len({one.place for one in taken}) == 60
    assert all(one.place.startswith(f"{topic}/") for one in taken)
    await source.settle(taken)
    assert await source.take(10, 0.2) == []
    await source.stop()


async def test_nothing_published_is_no_work(broker: Broker, topic: str) -> None:
    await broker.publish([])
    source = await broker.source(topic, "readers")
    assert await source.take(10, 0.2) == []
    await source.settle([])
    await source.stop()
    await source.stop()


async def test_each_group_gets_everything(broker: Broker, topic: str) -> None:
    await broker.publish([message(topic, n) for n in range(5)])
    for group in ("billing", "shipping"):
        source = await broker.source(topic, group)
        assert numbers(await take(source, 5)) == list(range(5))
        await source.stop()


async def test_what_is_given_back_comes_first_and_in_order(broker: Broker, topic: str) -> None:
    await broker.publish([message(topic, n) for n in range(6)])
    source = await broker.source(topic, "readers")
    first = await take(source, 2, limit=2)
    await source.give_back(first)
    again = await source.take(1, 1.0) + await source.take(1, 1.0)
    assert [one.place for one in again] == [one.place for one in first]
    rest = await take(source, 4)
    assert numbers(again + rest) == list(range(6))
    await source.settle(again + rest)
    await source.stop()


async def test_what_was_not_settled_comes_again_in_the_next_life(server: Server, topic: str) -> None:
    first = opened(server, claim_after_s=1.0)
    await until_started(first)
    await first.publish([message(topic, n) for n in range(10)])
    source = await first.source(topic, "readers")
    taken = await take(source, 10)
    await source.settle(taken[:4])
    await source.stop()
    await first.stop()

    second = opened(server, claim_after_s=1.0)
    await until_started(second)
    source = await second.source(topic, "readers")
    again = await take(source, 6)
    assert numbers(again) == list(range(4, 10))
    assert [one.place for one in again] == [one.place for one in taken[4:]]
    await source.settle(again)
    await source.stop()
    await second.stop()


async def test_another_member_gets_what_a_dead_one_held(server: Server, topic: str) -> None:
    dead, heir = opened(server, "dead", claim_after_s=1.0), opened(server, "heir", claim_after_s=1.0)
    await until_started(dead)
    await dead.publish([message(topic, n) for n in range(4)])
    source = await dead.source(topic, "readers")
    held = await take(source, 4)
    await source.stop()
    await dead.stop()
    await until_started(heir)
    source = await heir.source(topic, "readers")
    again = await take(source, 4)
    assert [one.place for one in again] == [one.place for one in held]
    await source.settle(again)
    await source.stop()
    await heir.stop()


async def test_a_killed_broker_keeps_what_it_acknowledged(server: Server, broker: Broker, topic: str) -> None:
    source = await broker.source(topic, "readers")
    await broker.publish([message(topic, n) for n in range(20)])
    server.kill()
    with pytest.raises(BrokerAway):
        await broker.publish([message(topic, 20)])
    server.start()
    await publish(broker, [message(topic, n) for n in range(20, 30)])
    seen: set[int] = set()
    async with asyncio.timeout(120):
        while len(seen) < 30:
            for one in await take(source, 1):
                seen.add(numbers([one])[0])
                try:
                    await source.settle([one])
                except BrokerAway:
                    continue
    assert seen == set(range(30))
    await source.stop()


async def test_a_silent_broker_is_away_within_its_time(server: Server, topic: str) -> None:
    broker = opened(server, timeout_s=1.0)
    await until_started(broker)
    await publish(broker, [message(topic, 1)])
    server.freeze()
    try:
        async with asyncio.timeout(30):
            with pytest.raises(BrokerAway):
                await broker.publish([message(topic, 2)])
    finally:
        server.thaw()
    await publish(broker, [message(topic, 3)])
    await broker.stop()
    await broker.stop()


async def test_a_body_that_is_too_large_is_refused_for_good(broker: Broker, topic: str) -> None:
    with pytest.raises(BrokerRefused, match=str(BODY_LIMIT_BYTES)):
        await broker.publish([message(topic, 1, body=b"x" * (BODY_LIMIT_BYTES + 1))])
    await broker.publish([message(topic, 2, body=b'{"n":2}')])
    source = await broker.source(topic, "readers")
    assert numbers(await take(source, 1)) == [2]
    await source.stop()


async def test_bodies_are_bytes_and_headers_keep_their_text(broker: Broker, topic: str) -> None:
    body = bytes(range(256)) * 16
    await broker.publish([Outgoing(topic, "ключ", "id-1", body, {"trace": "a=b;c", "note": "é"})])
    source = await broker.source(topic, "readers")
    (one,) = await take(source, 1)
    assert (one.body, one.key) == (body, "ключ")
    assert (one.headers["trace"], one.headers["note"]) == ("a=b;c", "é")
    await source.stop()


async def test_nobody_there_is_said_at_the_start(server: Server) -> None:
    settings = server.settings(timeout_s=1.0)
    port = str(server.port)
    elsewhere = type(settings)(kind=settings.kind, url=settings.url.replace(port, "1"), timeout_s=1.0)
    broker = open_broker("events", elsewhere, lambda text: text, "node-a")
    with pytest.raises(BrokerAway):
        await broker.start()
    with pytest.raises(BrokerAway):
        await broker.publish([message("t", 1)])
    await broker.stop()


@pytest.mark.parametrize("server", ["nats"], indirect=True)
async def test_nats_drops_repeats(broker: Broker, topic: str) -> None:
    for _ in range(3):
        await broker.publish([message(topic, n) for n in range(5)])
    source = await broker.source(topic, "readers")
    assert numbers(await take(source, 5)) == list(range(5))
    assert await source.take(10, 0.2) == []
    await source.stop()


@pytest.mark.parametrize("server", ["redis"], indirect=True)
async def test_a_redis_that_comes_back_empty_is_gone_on_with(server: Server, broker: Broker, topic: str) -> None:
    source = await broker.source(topic, "readers")
    await broker.publish([message(topic, 1)])
    await source.settle(await take(source, 1))
    server.kill()
    for file in (server.folder / "appendonlydir").iterdir():
        file.unlink()
    server.start()
    await publish(broker, [message(topic, 2)])
    assert numbers(await take(source, 1)) == [2]
    await source.stop()
