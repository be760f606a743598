"""The whole service with endpoints, and a real HTTP server that receives, fails, hangs and is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.integration.service.conftest import Downstream, World

from rco.config.settings import Settings
from rco.model.endpoint import DELIVER
from rco.model.wire_endpoints import CreateEndpoint, DeliveryView, MadeEndpoint
from rco.webhooks.options import WebhookOptions


class Receiver:
    """Somebody else's endpoint: keeps what came, byte for byte, and answers as a test says."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.at_s: list[float] = []
        """When each came."""
        self.answers: list[web.Response | None] = []
        """``None`` hangs until the sender gives up."""
        self.always: int = 204
        self.hold: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.at_s.append(asyncio.get_running_loop().time())
        self.seen.append((request.path_qs, {name.lower(): value for name, value in request.headers.items()}, body))
        self.arrived.set()
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.pop(0) if self.answers else web.Response(status=self.always)
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return answer


class Hooked(World):
    """A service that sends webhooks to ``receiver``."""

    def __init__(self, folder: Path, downstream: Downstream, receiver: Receiver) -> None:
        super().__init__(folder, downstream)
        self.receiver = receiver
        self.options: dict[str, Any] = {}

    def settings(self, **more: Any) -> Settings:
        given = {"retry_s": [0.05, 0.05, 0.05], "timeout_s": 0.5} | self.options
        hooks = WebhookOptions(allow_private=["127.0.0.0/8"], allow_http=True, **given)
        return super().settings(webhooks=hooks, **more)

    async def endpoint(self, *types: str, path: str = "/hook", **more: Any) -> MadeEndpoint:
        ask = CreateEndpoint(url=self.receiver.url + path, types=list(types) or ["order.*"], **more)
        return await self.client.endpoints.create(ask)

    async def accepted(self, id: str, data: Any) -> None:
        """Send until it is taken: a node that has just come owns no shards yet."""

        async def taken() -> bool:
            return (await self.send(id, "order.paid", data))[0] == 202

        await self.until(taken)

    async def closed(self, endpoint_id: str, count: int = 1) -> list[DeliveryView]:
        """The deliveries to it, once so many have ended."""
        found: list[DeliveryView] = []

        async def enough() -> bool:
            nonlocal found
            found = (await self.client.endpoints.deliveries(endpoint_id, limit=50)).items
            return sum(one.closed_at is not None for one in found) >= count

        await self.until(enough)
        return found

    async def all_deliveries(self) -> list[Any]:
        return await self.rows(workflow=DELIVER)


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Hooked]:
    downstream, receiver = Downstream(), Receiver()
    await downstream.start()
    await receiver.start()
    world = Hooked(tmp_path, downstream, receiver)
    await world.start()
    yield world
    if receiver.hold is not None:
        receiver.hold.set()
    await world.stop()
    await receiver.stop()
    await downstream.stop()
