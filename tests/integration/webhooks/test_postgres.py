"""Two nodes on PostgreSQL: an endpoint that one of them is told of is known to the other within a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook
from tests.integration.service.conftest import Downstream
from tests.integration.webhooks.conftest import Hooked, Receiver
from tests.servers.postgres import PostgresServer

from rco.config.settings import Settings
from rco.errors import Refused
from rco.webhooks.book import BEAT_S


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


class Shared(Hooked):
    dsn, name, key = "", "", ""

    def settings(self, **more: Any) -> Settings:
        settings, change = super().settings(**more), msgspec.structs.replace
        store = change(settings.store, path=self.dsn, node=self.name)
        return change(settings, store=store, webhooks=change(settings.webhooks, key=self.key))


@pytest.fixture
async def pair(tmp_path: Path, server: PostgresServer) -> AsyncIterator[tuple[Shared, Shared]]:
    receiver, downstream = Receiver(), Downstream()
    await receiver.start()
    await downstream.start()
    dsn = server.dsn(server.database())
    (tmp_path / "key").write_text("5a" * 32)
    nodes = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        node = Shared(folder, downstream, receiver)
        node.dsn, node.name, node.key = dsn, name, f"file:{tmp_path}/key"
        if nodes:
            (folder / "data").mkdir()
            (folder / "data" / "admin.token").write_text((tmp_path / "a" / "data" / "admin.token").read_text())
        await node.start()
        nodes.append(node)
    yield nodes[0], nodes[1]
    for node in nodes:
        await node.stop()
    await receiver.stop()
    await downstream.stop()


async def test_the_other_node_delivers_to_it(pair: tuple[Shared, Shared]) -> None:
    one, other = pair
    assert BEAT_S < 1
    made = await one.endpoint()

    async def known() -> bool:
        return other.service._hooks.book.any

    await other.until(known)
    await other.accepted("e1", {"order": 1})
    await one.accepted("e2", {"order": 2})
    found = await one.closed(made.endpoint.id, 2)
    assert {delivery.state for delivery in found} == {"completed"}
    for _, headers, body in one.receiver.seen:
        Webhook(made.secret).verify(body.decode(), headers)
    await one.client.endpoints.delete(made.endpoint.id)

    async def forgotten() -> bool:
        return not other.service._hooks.book.any

    await other.until(forgotten)


async def test_without_a_key_no_secret_is_made(pair: tuple[Shared, Shared]) -> None:
    one, _ = pair
    await one.stop()
    one.key = ""
    await one.start()
    with pytest.raises(Refused, match=r"webhooks\.key"):
        await one.endpoint()
