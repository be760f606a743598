"""The whole service with encryption, and runs that put a word which nobody may find into every place there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import Downstream, World

from rco.capability.keyfile import rotate
from rco.config.settings import Settings
from rco.encryption.options import EncryptionOptions
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids
from rco.model.wire_namespace_keys import NamespaceKeyAsk

SECRET = "Zaphod-Beeblebrox-was-here"
APP = """
from rco.workflow import Context, workflow

def shout(text):
    return text.upper()

@workflow
async def keeps(ctx: Context, secret: str) -> dict:
    await ctx.state("mine", secret)
    said = await ctx.step(shout, secret)
    await ctx.emit("told", {"secret": secret}, subject="the-subject")
    child = await ctx.child(inner, secret)
    word = await ctx.signal("word")
    return {"secret": secret, "said": said, "child": child, "word": word}

@workflow
async def inner(ctx: Context, secret: str) -> str:
    return secret + "-child"

@workflow
async def fails(ctx: Context, secret: str) -> None:
    raise ValueError(secret)

@workflow
async def hears(ctx: Context, subject: str) -> dict:
    event = await ctx.wait_for("told", subject=subject)
    return event["data"]

@workflow
async def looks_back(ctx: Context, subject: str) -> dict:
    await ctx.signal("go")
    event = await ctx.wait_for("told", subject=subject)
    return event["data"]

@workflow
async def sleeps(ctx: Context, secret: str) -> str:
    await ctx.sleep(86_400)
    return secret

@workflow(on="order.kept")
async def begins(ctx: Context, event: dict) -> dict:
    return event["data"]
"""


class Vault(World):
    """A service whose namespace may have a key."""

    def __init__(self, folder: Path, downstream: Downstream) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.configured = True

    @property
    def ring(self) -> Path:
        return self.folder / "payload-keyring.json"

    def turn(self) -> None:
        rotate(self.ring, ids=Ids(), now_us=SystemClock().now_us(), lead_s=0, overlap_s=3600)

    def settings(self, **more: Any) -> Settings:
        keys = f"file:{self.ring}" if self.configured else ""
        return msgspec.structs.replace(super().settings(**more), encryption=EncryptionOptions(keys=keys, lead_s=1))

    async def start(self) -> None:
        if not self.ring.exists():
            self.turn()
        await super().start()

    async def create(self, namespace: str = "default") -> Any:
        return await self.client.namespace_keys.create(NamespaceKeyAsk(namespace=namespace, reason="it is law"))

    async def erase(self, namespace: str = "default") -> Any:
        return await self.client.namespace_keys.erase(NamespaceKeyAsk(namespace=namespace, reason="they asked"))

    def found(self, *words: bytes) -> list[str]:
        """Files of the service in which one of ``words`` stands."""
        places = []
        for path in sorted((self.folder / "data").rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                places += [f"{path.name}: {word!r}" for word in words if word in data]
        return places


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    downstream = Downstream()
    await downstream.start()
    world = Vault(tmp_path, downstream)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()
