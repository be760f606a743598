"""The whole service with payloads over 1 KiB in the object store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import SECRET, Downstream, World
from tests.servers.s3 import S3Server

from rco.app import build
from rco.capability.keyfile import rotate
from rco.client import Client
from rco.config.settings import Settings
from rco.encryption.options import EncryptionOptions
from rco.kit.clock import SystemClock
from rco.kit.ids import Ids, id_bytes
from rco.model.journal import Kind, Record, decode_segment
from rco.model.payload import holds_reference
from rco.model.retention import RetentionOptions
from rco.objects.options import ObjectOptions
from rco.payloads.options import PayloadOptions

WORD = "Slartibartfast "
BIG = WORD * 400
"""6 000 bytes that are easy to find."""
APP = """
import os
import pathlib

from rco.workflow import Context, workflow

FOLDER = pathlib.Path(__file__).parent

def double(text):
    with (FOLDER / "doubled").open("a") as file:
        file.write("x")
    return {"text": text + text}

def word(text):
    return text

@workflow
async def all_kinds(ctx: Context, given: dict) -> dict:
    doubled = await ctx.step(double, given["text"])
    plain = await ctx.step(word, given["text"])
    child = await ctx.child(inner, {"text": given["text"]})
    await ctx.emit("big.told", {"text": given["text"]}, subject="the-subject")
    sent = await ctx.signal("more")
    return {"step": doubled["text"], "plain": plain, "child": child["text"], "sent": sent["text"], "n": given["n"]}

@workflow
async def inner(ctx: Context, given: dict) -> dict:
    return {"text": given["text"]}

@workflow
async def hears(ctx: Context, given: dict) -> dict:
    event = await ctx.wait_for("big.told", subject="the-subject")
    return {"heard": event["data"]["text"]}

@workflow
async def fails(ctx: Context, given: dict) -> None:
    raise ValueError(given["text"])

@workflow(on="order.big")
async def begins(ctx: Context, event: dict) -> dict:
    return {"text": event["data"]["data"]["text"]}

@workflow
async def steps(ctx: Context, given: dict) -> int:
    doubled = await ctx.step(double, given["text"])
    await ctx.signal("go")
    return len(doubled["text"])

@workflow
async def publishes(ctx: Context, given: dict) -> int:
    await ctx.state("shown", {"text": given["text"]})
    await ctx.signal("go")
    return len(given["text"])

@workflow
async def forks(ctx: Context, given: dict) -> int:
    doubled = await ctx.step(double, given["text"])
    again = await ctx.step(double, "y", name="second")
    return len(doubled["text"]) + len(again["text"])
"""


class Large(World):
    """``place`` is where its objects are; ``dsn`` its database, empty for SQLite."""

    def __init__(self, folder: Path, downstream: Downstream) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.place = ObjectOptions()
        self.payloads = PayloadOptions(object_store_over_bytes=1024, timeout_s=2, gc_every_s=3600, gc_grace_s=60)
        self.dsn = ""
        self.encrypted = False
        self.retention = RetentionOptions()

    def settings(self, **more: Any) -> Settings:
        settings = super().settings(**more)
        change = msgspec.structs.replace
        if self.dsn:
            settings = change(settings, store=change(settings.store, path=self.dsn))
        if self.encrypted:
            settings = change(settings, encryption=EncryptionOptions(keys=f"file:{self.ring}", lead_s=1))
        return change(settings, objects=self.place, payloads=self.payloads, retention=self.retention)

    @property
    def ring(self) -> Path:
        return self.folder / "payload-keyring.json"

    async def start(self) -> None:
        if self.encrypted and not self.ring.exists():
            rotate(self.ring, ids=Ids(), now_us=SystemClock().now_us(), lead_s=0, overlap_s=3600)
        environ = {"SHOP": SECRET, "KEY": "testing", "SECRET": "testing"}
        self.service = await build(self.settings(), environ=environ, migrating=True)
        await self.service.start()
        token = (self.folder / "data" / "admin.token").read_text().strip()
        self.client = await Client(self.service.url, token).__aenter__()
        import aiohttp

        self.session = aiohttp.ClientSession()

    @property
    def objects_folder(self) -> Path:
        return self.folder / "data" / "objects"

    def objects(self) -> list[Path]:
        """The objects in the folder."""
        return sorted(path for path in self.objects_folder.glob("payload/**/*") if path.is_file())

    async def keys(self) -> list[str]:
        """The keys of all payloads, wherever they are."""
        store = self.service._desk.payload_gc._sweeper._objects
        return [one.key for one in await store.listed("payload/", "", 1000)]

    async def stored(self, run_id: str) -> bytes:
        """The run's journal as it stands in the store."""
        segments = await self.service._keeper.reader.journal(id_bytes(run_id))
        return b"".join(segment.data for segment in segments)

    async def raw(self, run_id: str) -> list[Record]:
        return decode_segment(await self.stored(run_id), stored=True)

    async def rests(self, *run_ids: str) -> None:
        """Wait until each of them waits for something, and that is durable."""

        async def resting() -> bool:
            kinds = [{record.kind for record in await self.raw(run_id)} for run_id in run_ids]
            return all(Kind.WAIT in one for one in kinds)

        await self.until(resting)

    async def keeps(self) -> None:
        """Wait until a value waits for the object store."""

        async def waits() -> bool:
            return self.service._desk.engine.stats().payloads_waiting == 1

        await self.until(waits)

    def away(self) -> None:
        """The folder takes nothing and gives nothing."""
        self.objects_folder.rename(self.folder / "data" / "elsewhere")
        self.objects_folder.write_text("no folder")

    def back(self) -> None:
        self.objects_folder.unlink()
        (self.folder / "data" / "elsewhere").rename(self.objects_folder)

    @property
    def doubled(self) -> int:
        """How often the step was really done."""
        path = self.folder / "doubled"
        return len(path.read_text()) if path.exists() else 0


def refers(data: bytes) -> bool:
    return holds_reference(data) and WORD.encode() * 3 not in data


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
async def unstarted(tmp_path: Path) -> AsyncIterator[Large]:
    downstream = Downstream()
    await downstream.start()
    world = Large(tmp_path, downstream)
    yield world
    await downstream.stop()


@pytest.fixture
async def large(unstarted: Large) -> AsyncIterator[Large]:
    await unstarted.start()
    yield unstarted
    await unstarted.stop()
