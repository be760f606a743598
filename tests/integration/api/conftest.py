"""A whole service in a temporary folder: the real wiring on free ports, with an application of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from rco.app import Service, build
from rco.client import Client
from rco.config.settings import ServerSettings, Settings
from rco.kit.ids import Ids
from rco.model.principal import Principal, Role
from rco.model.queue import Queue
from rco.model.subscription import Subscription
from rco.model.target import Rule, Target
from rco.operations.access import token_digest

APP = """
from rco.workflow import Context, workflow

@workflow
async def greet(ctx: Context, name):
    async def say(name):
        return {"hello": name}
    return await ctx.step(say, name)

@workflow
async def ask(ctx: Context, given):
    return await ctx.signal("answer")

@workflow
async def fail(ctx: Context, given):
    async def bad():
        raise ValueError("no luck")
    await ctx.step(bad, attempts=1)

@workflow(on="order.created")
async def order(ctx: Context, event):
    return event["id"]

@workflow
async def sell(ctx: Context, event_id):
    return await ctx.emit("order.created", {"n": 1}, subject="s", event_id=event_id)
"""


@dataclass(frozen=True)
class Served:
    """The running service, and clients for each role."""

    service: Service
    url: str
    admin: Client
    operator: Client
    viewer: Client
    call: Callable[..., Awaitable[tuple[int, Any, Any]]]

    async def decisions(self) -> list[dict[str, Any]]:
        """Every decision in the evidence."""
        return await decisions_of(self.admin)


async def decisions_of(client: Client) -> list[dict[str, Any]]:
    """Every decision in the evidence that ``client`` may export."""
    lines = b"".join([piece async for piece in client.export_audit()])
    return [one for line in lines.splitlines() for one in json.loads(line).get("decisions", [])]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One service for all tests of a file that only look, or ask for what is refused. They are marked ``looking``."""
    async with serving(tmp_path_factory.mktemp("shared")) as served:
        yield served


looking = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def serving(tmp_path: Path, **more: Any) -> AsyncIterator[Served]:
    """A service in ``tmp_path`` with ``more`` settings."""
    tmp_path.mkdir(exist_ok=True)
    app = tmp_path / "greeting.py"
    app.write_text(APP)
    settings = Settings(
        app=str(app),
        data_dir=str(tmp_path / "data"),
        server=ServerSettings(bind_addr="127.0.0.1:0", metrics_addr="127.0.0.1:0"),
        targets={
            "pay": Target(name="pay", base_url="https://pay.example.com", allow=[Rule(["GET", "POST"], "/charges/*")])
        },
        queues={"slow": Queue(concurrency=1, per_key_concurrency=1, weights={"big": 3})},
        # Nothing has a field of a number: this one can never take an order.
        subscriptions=[Subscription(name="odd", workflow="greet", type="order.created", where=".data.n.x")],
        **more,
    )
    service = await build(settings, environ={}, migrating=True)
    await service.start()
    try:
        reader = service._desk.reader
        tokens = {"admin": (tmp_path / "data" / "admin.token").read_text().strip()}
        for role in (Role.OPERATOR, Role.VIEWER):
            tokens[role.value] = Ids().token(32)
            principal = Principal(principal_id=role.value, name=role.value, role=role)
            await reader.add_principal(principal, token_digest(tokens[role.value]))

        async with (
            Client(service.url, tokens["admin"]) as admin,
            Client(service.url, tokens["operator"]) as operator,
            Client(service.url, tokens["viewer"]) as viewer,
            # Less than the service keeps them: a connection that it closes just then cannot carry a request.
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=1)) as session,
        ):

            async def call(method: str, path: str, *, token: str | None = "admin", **more: Any) -> tuple[int, Any, Any]:
                headers = dict(more.pop("headers", {}))
                if token is not None:
                    headers["Authorization"] = f"Bearer {tokens.get(token, token)}"
                async with session.request(method, service.url + path, headers=headers, **more) as response:
                    body = await response.read()
                    return response.status, response.headers.copy(), body

            yield Served(service, service.url, admin, operator, viewer, call)
    finally:
        await asyncio.shield(service.stop())
