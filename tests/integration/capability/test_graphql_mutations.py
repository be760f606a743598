"""Mutations with a capability, and content in the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.integration.capability.conftest import Governed
from tests.integration.service.conftest import Downstream

from rco.config.settings import Settings
from rco.kit.digest import content_address
from rco.model.wire_capabilities import MintAsk
from rco.objects.options import ContentOptions, ObjectOptions
from rco.server.graphql.options import GraphqlOptions


class Graphed(Governed):
    """A governed service with ``/graphql`` and a content store."""

    def settings(self, **more: Any) -> Settings:
        return msgspec.structs.replace(
            super().settings(**more),
            graphql=GraphqlOptions(enabled=True),
            content=ContentOptions(enabled=True),
            objects=ObjectOptions(place="memory"),
        )

    async def token(self, *scopes: str) -> str:
        return str((await self.client.mint(MintAsk(scopes=list(scopes), ttl_ms=60_000))).token)

    async def ask(self, query: str, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.service.url}/graphql", json={"query": query}, headers=headers) as got,
        ):
            return json.loads(await got.read())

    @property
    def admin(self) -> str:
        return (self.folder / "data" / "admin.token").read_text().strip()


@pytest.fixture
async def graphed(tmp_path: Path) -> Any:
    downstream = Downstream()
    await downstream.start()
    world = Graphed(tmp_path, downstream)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


def reason(told: Any) -> str:
    return str(told["errors"][0]["extensions"]["reason"])


async def test_each_mutation_needs_its_own_scope(graphed: Graphed) -> None:
    start = 'mutation { startRun(workflow: "waits", input: {data: {}}) { id created } }'
    assert reason(await graphed.ask(start, graphed.admin)) == "SCOPE_MISMATCH"
    assert reason(await graphed.ask(start, await graphed.token("run:start:asks"))) == "SCOPE_MISMATCH"
    told = await graphed.ask(start, await graphed.token("run:start:waits"))
    run = told["data"]["startRun"]["id"]

    signal = f'mutation {{ signalRun(runId: "{run}", name: "go", messageId: "m") {{ accepted }} }}'
    assert reason(await graphed.ask(signal, await graphed.token("run:start:waits"))) == "SCOPE_MISMATCH"
    assert reason(await graphed.ask(signal, await graphed.token("run:signal:asks"))) == "SCOPE_MISMATCH"
    cancel = f'mutation {{ cancelRun(runId: "{run}") {{ accepted }} }}'
    assert reason(await graphed.ask(cancel, await graphed.token("run:signal:*"))) == "SCOPE_MISMATCH"
    assert await graphed.ask(signal, await graphed.token("run:signal:waits")) == {
        "data": {"signalRun": {"accepted": True}}
    }
    assert (await graphed.client.wait(run)).state == "completed"

    other = (await graphed.ask(start, await graphed.token("run:start:*")))["data"]["startRun"]["id"]
    cancel = f'mutation {{ cancelRun(runId: "{other}") {{ accepted }} }}'
    assert (await graphed.ask(cancel, await graphed.token("run:cancel:w*")))["data"] == {
        "cancelRun": {"accepted": True}
    }
    assert (await graphed.client.wait(other)).state == "cancelled"


async def test_a_capability_reads_nothing(graphed: Graphed) -> None:
    token = await graphed.token("run:start:*", "run:signal:*", "write:put")
    for query in (
        "{ runs { nodes { id } } }",
        "{ events { nodes { id } } }",
        "{ decisions { nodes { verb } } }",
        "{ objects { nodes { address } } }",
        f'{{ object(address: "b3:{"0" * 64}") {{ type }} }}',
        f'{{ run(id: "{"0" * 32}") {{ id }} }}',
    ):
        assert reason(await graphed.ask(query, token)) == "SCOPE_MISMATCH", query


async def test_what_was_put_is_in_the_graph(graphed: Graphed) -> None:
    address = content_address(b"hello")
    headers = {"Authorization": f"Bearer {await graphed.token('write:put')}"}
    body = {"payload": "hello", "meta": {"type": "text/plain", "provider": "shop"}}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{graphed.service.url}/put", json=body, headers=headers) as got,
    ):
        assert got.status == 202
    one = f'object(address: "{address}") {{ address sizeBytes type provider putAt }}'
    told = (await graphed.ask(f"{{ {one} objects {{ nodes {{ address }} }} }}", graphed.admin))["data"]
    assert told["objects"]["nodes"] == [{"address": address}]
    assert (told["object"]["sizeBytes"], told["object"]["type"], told["object"]["provider"]) == (
        5,
        "text/plain",
        "shop",
    )
    assert told["object"]["putAt"]
    assert (await graphed.ask(f'{{ object(address: "b3:{"0" * 64}") {{ type }} }}', graphed.admin))["data"][
        "object"
    ] is None
