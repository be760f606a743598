"""The whole service on free ports with a real downstream beside it; stopped and started again on the same data."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from rco.app import Service, build
from rco.bridge.contract import ProviderSettings, SecretRef
from rco.client import Client
from rco.config.settings import ServerSettings, Settings
from rco.kit.backoff import Backoff
from rco.kit.ids import id_bytes
from rco.model.journal import Record, decode_segment
from rco.model.subscription import Subscription
from rco.model.target import Fallback, Rule, Target

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()

APP = """
from rco.errors import CallFailed, CallRefused
from rco.workflow import Context, workflow

@workflow(on="order.paid")
async def fulfil(ctx: Context, event: dict) -> dict:
    order = event["data"]["data"]["order"]
    answer = await ctx.call("stock", "POST", "/reservations", json={"order": order, "card_number": "visa-4111"})
    return {"status": answer.status, "body": answer.body, "fallback": answer.fallback}

@workflow
async def asks(ctx: Context, what: dict) -> dict:
    try:
        answer = await ctx.call(what["target"], what["method"], what["path"], json=what.get("json"))
    except CallFailed as problem:
        return {"failed": problem.status}
    except CallRefused as problem:
        return {"refused": problem.kind}
    return {"status": answer.status, "body": answer.body, "fallback": answer.fallback}
"""


class Downstream:
    """A real HTTP server that keeps what it was asked, and answers as a test says."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, Any]] = []
        self.hold: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, request.path, dict(request.headers), body))
        self.arrived.set()
        if self.hold is not None:
            await self.hold.wait()
        status, told = self.answers.pop(0) if self.answers else (200, {"ok": True, "token": "very secret"})
        return web.json_response(told, status=status)


class World:
    """A service, its downstream, and what a sender and an operator do."""

    environ: Mapping[str, str] = {"SHOP": SECRET}

    def __init__(self, folder: Path, downstream: Downstream) -> None:
        self.folder, self.downstream = folder, downstream
        (folder / "app.py").write_text(APP)
        self.service: Service

    def settings(self, **more: Any) -> Settings:
        base = f"http://127.0.0.1:{self.downstream.port}"
        plain = Target(
            name="stock",
            base_url=base,
            allow=[Rule(["GET", "POST"], "/**")],
            allow_private=["127.0.0.0/8"],
            timeout_s=2,
            attempts=4,
            backoff=Backoff(first_s=0.01, cap_s=0.05),
        )
        change = msgspec.structs.replace
        return Settings(
            app=str(self.folder / "app.py"),
            data_dir=str(self.folder / "data"),
            server=ServerSettings(bind_addr="127.0.0.1:0", metrics_addr="127.0.0.1:0", drain_timeout_s=0.3),
            providers={
                "shop": ProviderSettings(
                    name="shop", kind="standard-webhooks", secrets=[SecretRef(secret_id="one", ref="env:SHOP")]
                ),
                "forge": ProviderSettings(
                    name="forge", kind="github", secrets=[SecretRef(secret_id="one", ref="env:SHOP")]
                ),
            },
            targets={
                "stock": plain,
                "closed": change(plain, name="closed", allow_private=[]),
                "unkeyed": change(plain, name="unkeyed", idempotency_header=None, timeout_s=0.2),
                "cushioned": change(
                    plain, name="cushioned", attempts=1, fallback=Fallback(status=203, body={"from": "the cushion"})
                ),
            },
            subscriptions=[
                Subscription(name="broken", workflow="asks", type="odd.*", where=".data.data.number.of.something"),
                Subscription(name="missing", workflow="nobody", type="lonely"),
                Subscription(name="once", workflow="fulfil", type="order.repeated", key=".data.data.order"),
            ],
            **more,
        )

    async def start(self) -> None:
        self.service = await build(self.settings(), environ=dict(self.environ), migrating=True)
        await self.service.start()
        token = (self.folder / "data" / "admin.token").read_text().strip()
        self.client = await Client(self.service.url, token).__aenter__()
        self.session = aiohttp.ClientSession()

    async def stop(self) -> None:
        await self.session.close()
        await self.client.__aexit__(None, None, None)
        await self.service.stop()

    async def again(self) -> None:
        await self.stop()
        await self.start()

    def signed(self, id: str, type: str, data: Any) -> tuple[bytes, dict[str, str]]:
        body = json.dumps({"type": type, "data": data}).encode()
        now = datetime.now(UTC)
        return body, {
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(id, now, body.decode()),
            "content-type": "application/json",
        }

    async def post(self, body: bytes, headers: dict[str, str], provider: str = "shop") -> tuple[int, dict[str, Any]]:
        url = f"{self.service.url}/webhooks/{provider}"
        async with self.session.post(url, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def send(self, id: str, type: str, data: Any) -> tuple[int, dict[str, Any]]:
        return await self.post(*self.signed(id, type, data))

    async def call(self, **what: Any) -> str:
        started = await self.client.start("asks", what)
        return str(started.id)

    async def end(self, run_id: str) -> Any:
        finished = await self.service._desk.engine.result(id_bytes(run_id), 20)
        assert finished is not None, "the run did not close in time"
        return finished.value

    async def rows(self, **where: Any) -> list[Any]:
        from rco.store.contract.reader import RunFilter

        return await self.service._desk.reader.runs(RunFilter(limit=200, **where))

    async def records(self, run_id: str) -> list[Record]:
        segments = await self.service._desk.reader.journal(id_bytes(run_id))
        return [record for segment in segments for record in decode_segment(segment.data)]

    async def decisions(self) -> list[dict[str, Any]]:
        seals = await self.service._desk.reader.seals(1, 100_000)
        return [one for seal in seals for one in msgspec.json.decode(seal.decisions)]

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(15):
            while not await condition():
                await asyncio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    downstream = Downstream()
    await downstream.start()
    world = World(tmp_path, downstream)
    await world.start()
    yield world
    if downstream.hold is not None:
        downstream.hold.set()
    await world.stop()
    await downstream.stop()
