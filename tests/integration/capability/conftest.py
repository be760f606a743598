"""The whole service with capabilities enforced, its downstream, and rules that a test gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import Downstream, World

from rco.capability.keyfile import rotate
from rco.capability.options import CapabilityOptions
from rco.config.settings import Settings
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids, id_text
from rco.model.grant_rule import GrantRule
from rco.model.journal import Kind

APP = """
from rco.errors import CallFailed, CallRefused
from rco.workflow import Context, workflow

async def tried(ctx, what):
    try:
        target = what.get("target", "stock")
        answer = await ctx.call(target, what["method"], what["path"], attempts=what.get("attempts"))
    except CallRefused as problem:
        return {"refused": problem.data["reason"], "message": str(problem)}
    except CallFailed as problem:
        return {"failed": problem.status}
    return {"status": answer.status}

@workflow(on="order.paid")
async def fulfil(ctx: Context, event: dict) -> list:
    return [await tried(ctx, what) for what in event["data"]["data"]["calls"]]

@workflow(on="order.refunded")
async def refund(ctx: Context, event: dict) -> dict:
    return await tried(ctx, {"method": "POST", "path": "/refunds"})

@workflow
async def asks(ctx: Context, what: dict) -> dict:
    return await tried(ctx, what)

@workflow(on="order.held")
async def waits(ctx: Context, event: dict) -> list:
    answers = []
    while True:
        what = await ctx.signal("go")
        if what is None:
            return answers
        answers.append(await tried(ctx, what))
        await ctx.state("answers", answers)

@workflow(on="order.split")
async def parent(ctx: Context, event: dict) -> list:
    return [await ctx.child(asks, what) for what in event["data"]["data"]["calls"]]

@workflow
async def emits(ctx: Context, event: dict) -> None:
    await ctx.emit("made.here", {})

@workflow(on="made.here")
async def after(ctx: Context, event: dict) -> dict:
    return await tried(ctx, {"method": "GET", "path": "/made"})
"""

RULES = [
    GrantRule(
        to=["provider:shop"],
        scopes=[
            "webhook:accept:shop",
            "run:start:fulfil",
            "call:stock:POST:/reservations/**",
            "call:stock:GET:/items/*",
        ],
    ),
    GrantRule(to=["provider:shop"], subscription="waits:*", scopes=["run:start:waits", "call:stock:GET"]),
    GrantRule(
        to=["provider:shop"], subscription="parent:order.split", scopes=["run:start:parent", "call:stock:GET:/child"]
    ),
    GrantRule(to=["role:admin"], scopes=["call:stock:GET:/desk/**"]),
    GrantRule(to=["run:emits"], scopes=["run:start:after", "call:stock:GET:/made"]),
]


class Governed(World):
    """A service with a keyring."""

    def __init__(self, folder: Path, downstream: Downstream) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.rules = list(RULES)
        self.enforce = True
        self.options = CapabilityOptions(enforce=True, lead_s=0)

    @property
    def ring(self) -> Path:
        return self.folder / "data" / "keyring.json"

    def turn(self) -> None:
        now_us = SystemClock().now_us()
        rotate(self.ring, ids=Ids(), now_us=now_us, lead_s=0, overlap_s=self.options.overlap_s)

    def settings(self, **more: Any) -> Settings:
        settings = super().settings(**more)
        stock = settings.targets["stock"]
        return msgspec.structs.replace(
            settings,
            targets=settings.targets | {"bank": msgspec.structs.replace(stock, name="bank")},
            capability=self.options if self.enforce else CapabilityOptions(),
            grants=self.rules if self.enforce else [],
        )

    async def start(self) -> None:
        if not self.ring.exists():
            self.turn()
        await super().start()

    @property
    def office(self) -> Any:
        return self.service._granting.office

    async def paid(self, id: str, *calls: tuple[str, ...], type: str = "order.paid") -> tuple[int, dict[str, Any]]:
        fields = ("method", "path", "target")
        return await self.send(id, type, {"calls": [dict(zip(fields, call, strict=False)) for call in calls]})

    async def only(self, workflow: str) -> str:
        """The id of the one run of ``workflow``."""
        (row,) = await self.rows(workflow=workflow)
        return id_text(row.run_id)

    async def answer(self, run_id: str, count: int, what: dict[str, Any]) -> dict[str, Any]:
        """What the waiting run says of its ``count``-th call."""
        await self.client.signal(run_id, "go", what)
        found: list[Any] = []

        async def there() -> bool:
            found[:] = [one.body[1] for one in await self.records(run_id) if one.kind == Kind.STATE]
            return bool(found) and len(found[-1]) >= count

        await self.until(there)
        last: dict[str, Any] = found[-1][count - 1]
        return last


@pytest.fixture
async def governed(tmp_path: Path) -> AsyncIterator[Governed]:
    downstream = Downstream()
    await downstream.start()
    world = Governed(tmp_path, downstream)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()
