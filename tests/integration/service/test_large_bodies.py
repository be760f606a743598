"""Webhooks of 25 MB through the real service: to the content store when they are proven, and nowhere else."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import SECRET, Downstream, World
from tests.servers.s3 import S3Server

from rco.app import build
from rco.bridge.contract import ProviderSettings, SecretRef
from rco.client import Client
from rco.config.settings import Settings
from rco.errors import ConfigInvalid
from rco.kit.digest import content_address
from rco.objects.content import key_of
from rco.objects.options import ContentOptions, ObjectOptions
from rco.server import large_bodies

pytestmark = pytest.mark.timeout(180)
MiB = 1 << 20
APP = """
import hashlib
from rco.workflow import Body, Context, workflow

async def measured(body: Body, word: str) -> dict:
    digest, pieces, largest = hashlib.sha256(), 0, 0
    async for piece in body.stream():
        digest.update(piece)
        pieces, largest = pieces + 1, max(largest, len(piece))
    return {"sha256": digest.hexdigest(), "size": body.size_bytes, "type": body.content_type, "largest": largest,
            "word": word}

async def as_json(body: Body) -> int:
    return len((await body.json(limit_bytes=64 << 20))["pad"])

async def too_much(body: Body) -> int:
    return len(await body.whole())

@workflow(on="github.push")
async def pushed(ctx: Context, event: dict) -> dict:
    if "dataref" not in event["data"]:
        return {"small": event["data"]}
    found = await ctx.read(measured, event["data"], "word")
    found["pad"] = await ctx.read(as_json, event["data"]["dataref"]["address"])
    try:
        await ctx.read(too_much, event["data"], attempts=1)
    except Exception as problem:
        found["refused"] = str(problem)
    return found
"""


class Forge(World):
    """A service whose provider ``forge`` may send bodies of 25 MiB."""

    def __init__(self, folder: Path, downstream: Downstream, **objects: Any) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.objects = ObjectOptions(**objects)
        self.content = ContentOptions(put_timeout_s=60, inflight=2)
        self.changed: dict[str, Any] = {}
        self.environ = {"SHOP": SECRET, "KEY": "testing"}

    def settings(self, **more: Any) -> Settings:
        forge = ProviderSettings(
            name="forge",
            kind="github",
            secrets=[SecretRef(secret_id="one", ref="env:SHOP")],
            **{"large_body_limit_bytes": 25 * MiB, **self.changed},
        )
        settings = super().settings(**more)
        return msgspec.structs.replace(
            settings,
            server=msgspec.structs.replace(settings.server, read_timeout_s=60.0, handler_timeout_s=60.0),
            objects=self.objects,
            content=self.content,
            providers={**settings.providers, "forge": forge},
        )

    async def start(self) -> None:
        import aiohttp

        self.service = await build(self.settings(), environ=self.environ, migrating=True)
        await self.service.start()
        token = (self.folder / "data" / "admin.token").read_text().strip()
        self.client = await Client(self.service.url, token).__aenter__()
        self.session = aiohttp.ClientSession()

    @property
    def store(self) -> Path:
        return self.folder / "data" / "objects"

    def left(self) -> list[str]:
        """Every file of the store that is no content."""
        return [str(path) for path in (self.store / ".incoming").iterdir()] if self.store.exists() else []

    def kept(self) -> list[Path]:
        return [path for path in self.store.rglob("*") if path.is_file()]

    def headers(self, body: bytes, **changed: str) -> dict[str, str]:
        digest = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        return {
            "X-Hub-Signature-256": f"sha256={digest}",
            "X-GitHub-Event": "push",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in changed.items()},
        }

    async def push(self, body: bytes, data: Any = None, **changed: str) -> tuple[int, dict[str, Any]]:
        return await self.post(body if data is None else data, self.headers(body, **changed), "forge")

    async def refusals(self) -> list[str]:
        return [one["reason"] for one in await self.decisions() if one["verb"] == "refuse"]

    async def raw(
        self, body: bytes, announced: int | None, signed: bytes | None = None, **changed: str
    ) -> asyncio.StreamWriter:
        """Send a head that announces so much (``None``: chunks), and ``body``."""
        port = int(self.service.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [f"{name}: {value}\r\n" for name, value in self.headers(signed or body, **changed).items()]
        framing = "Transfer-Encoding: chunked" if announced is None else f"Content-Length: {announced}"
        head = "".join(["POST /webhooks/forge HTTP/1.1\r\nHost: a\r\n", *lines, f"{framing}\r\n\r\n"])
        writer.write(head.encode() + body)
        self.reader = reader
        return writer


def large(size_bytes: int, seed: str = "a") -> bytes:
    """A JSON body of exactly this size."""
    frame = len(json.dumps({"seed": seed, "pad": ""}))
    return json.dumps({"seed": seed, "pad": "x" * (size_bytes - frame)}).encode()


async def _forge(folder: Path, **objects: Any) -> AsyncIterator[Forge]:
    downstream = Downstream()
    await downstream.start()
    world = Forge(folder, downstream, **objects)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[Forge]:
    async for world in _forge(tmp_path):
        yield world


async def test_25_mib_is_accepted_and_the_workflow_reads_it(forge: Forge) -> None:
    body = large(25 * MiB)
    status, answer = await forge.push(body, X_GitHub_Delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    assert (status, answer["accepted"]) == (202, True)
    address = content_address(body)
    stored = forge.store / key_of(address)
    assert stored.read_bytes().endswith(body)
    assert (forge.kept(), forge.left()) == ([stored], [])

    async def ended() -> bool:
        return any(row.closed_us for row in await forge.rows(workflow="pushed"))

    await forge.until(ended)
    [run] = await forge.rows(workflow="pushed")
    from hashlib import sha256

    value = (await forge.service._desk.engine.result(run.run_id, 20)).value
    refused = value.pop("refused")
    assert value == {
        "sha256": sha256(body).hexdigest(),
        "size": len(body),
        "type": "application/json",
        "largest": 64 << 10,
        "word": "word",
        "pad": 25 * MiB - len(json.dumps({"seed": "a", "pad": ""})),
    }
    assert "the limit is 1048576" in refused
    [event] = (await forge.client.events()).items
    assert (event.type, event.id) == ("github.push", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
    assert (await forge.client.event(event.id)).data == {
        "dataref": {"address": address, "size_bytes": len(body), "content_type": "application/json"}
    }
    # The history holds what was made of it, not the body.
    assert sum(len(str(record)) for record in await forge.records(_text(run.run_id))) < 10_000
    [accepted] = [one for one in await forge.decisions() if one["verb"] == "accept"]
    assert accepted["b3"] == address
    metrics = forge.service.metrics.render().decode()
    (line,) = [line for line in metrics.splitlines() if line.startswith("svc_interop_content_bytes_total{")]
    assert float(line.split()[1]) == len(body)


async def test_up_to_body_limit_nothing_changes(forge: Forge) -> None:
    at, over = large(1 * MiB), large(1 * MiB + 1)
    assert (await forge.push(at))[0] == 202
    assert forge.kept() == []
    assert (await forge.push(over))[0] == 202
    assert len(forge.kept()) == 1


async def test_a_repeat_is_recognised_however_it_comes(forge: Forge) -> None:
    body = large(2 * MiB)
    first = await forge.push(body, X_GitHub_Delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    # What is not signed makes no new delivery of it.
    again = await forge.push(body, X_GitHub_Delivery="00000000-cc78-11e3-81ab-4c9367dc0958")
    assert (again[0], again[1]["duplicate"], again[1]["corr_id"]) == (202, True, first[1]["corr_id"])
    # Nor does a limit that was changed meanwhile: now it is held.
    forge.changed = {"body_limit_bytes": 4 * MiB}
    await forge.service.reload(forge.settings())
    held = await forge.push(body)
    assert (held[0], held[1]["duplicate"], held[1]["corr_id"]) == (202, True, first[1]["corr_id"])
    assert len((await forge.client.events(type="github.push")).items) == 1
    assert forge.left() == []


@pytest.mark.parametrize("at", [0, MiB, 5 * MiB - 1])
async def test_a_wrong_signature_at_the_end_leaves_nothing(forge: Forge, at: int) -> None:
    body = large(5 * MiB)
    forged = bytearray(body)
    forged[at] ^= 1
    status, answer = await forge.push(body, bytes(forged))
    assert (status, answer["reason"]) == (401, "UNAUTH")
    assert (forge.kept(), forge.left()) == ([], [])

    async def told() -> bool:
        return await forge.refusals() == ["sig_mismatch"]

    await forge.until(told)
    assert (await forge.client.events()).items == []
    assert 'result="sig_mismatch"' in forge.service.metrics.render().decode()


async def test_a_cut_in_the_middle_leaves_nothing(forge: Forge) -> None:
    body = large(5 * MiB)
    writer = await forge.raw(body[: 3 * MiB], len(body), signed=body)
    await writer.drain()
    await forge.until(_coming(forge))
    writer.transport.abort()
    await forge.until(_none_left(forge))

    async def told() -> bool:
        return await forge.refusals() == ["body_cut"]

    await forge.until(told)
    assert forge.kept() == []
    # And the next one is taken.
    assert (await forge.push(body))[0] == 202


async def test_who_stops_sending_is_refused_in_time(tmp_path: Path) -> None:
    async for forge in _forge(tmp_path):
        settings = forge.settings()
        await forge.service.stop()
        server = msgspec.structs.replace(settings.server, read_timeout_s=0.3)
        forge.service = await build(
            msgspec.structs.replace(settings, server=server), environ=forge.environ, migrating=True
        )
        await forge.service.start()
        body = large(5 * MiB)
        writer = await forge.raw(body[:MiB], len(body), signed=body)
        async with asyncio.timeout(30):
            answer = (await forge.reader.readuntil(b"\r\n")).decode()
        assert " 408 " in answer
        writer.close()
        await forge.until(_none_left(forge))
        assert forge.kept() == []


async def test_what_is_refused_before_its_body_comes(forge: Forge) -> None:
    body = large(2 * MiB)
    for changed, announced, status in (
        ({}, 25 * MiB + 1, 413),
        ({"Content_Encoding": "rot13"}, len(body), 415),
        ({"Content_Type": "text/plain"}, len(body), 415),
        ({"X_Hub_Signature_256": "sha256=00"}, len(body), 401),
        ({"X_Hub_Signature_256": ""}, len(body), 401),
    ):
        # Not a byte of the body is sent, and the answer is there.
        writer = await forge.raw(b"", announced, signed=body, **changed)
        async with asyncio.timeout(30):
            answer = (await forge.reader.readuntil(b"\r\n")).decode()
        assert f" {status} " in answer
        assert (forge.kept(), forge.left()) == ([], [])
        writer.close()


async def test_too_many_at_once_are_told_to_come_again(forge: Forge) -> None:
    body = large(3 * MiB)
    writers = [await forge.raw(body[:MiB], len(body), signed=body) for _ in range(2)]

    async def full() -> bool:
        return len(forge.left()) == 2

    await forge.until(full)
    third = await forge.raw(b"", 3 * MiB, signed=body)
    async with asyncio.timeout(30):
        assert b" 429 " in await forge.reader.readuntil(b"\r\n")
    third.close()
    # The usual ones go on.
    assert (await forge.push(b'{"small": 1}'))[0] == 202
    assert forge.service._turnstile.held_bytes == 2 * large_bodies.HELD_BYTES
    for writer in writers:
        writer.transport.abort()
    await forge.until(_none_left(forge))

    async def free() -> bool:
        return forge.service._turnstile.held_bytes == 0

    await forge.until(free)
    assert (await forge.push(large(3 * MiB, "b")))[0] == 202


async def test_what_would_not_be_accepted_is_not_kept(forge: Forge) -> None:
    forge.service._desk.engine._openings.draining = True
    status, answer = await forge.push(large(2 * MiB))
    assert (status, answer["reason"]) == (429, "BACKPRESSURE")
    assert (forge.kept(), forge.left()) == ([], [])
    forge.service._desk.engine._openings.draining = False
    assert (await forge.push(large(2 * MiB)))[0] == 202


async def test_a_bucket_that_is_away(tmp_path: Path) -> None:
    with S3Server() as s3:
        place = {"place": f"s3://{s3.bucket}/hooks", "endpoint": s3.endpoint}
        async for forge in _forge(tmp_path, **place, access_key_id="env:KEY", secret_access_key="env:KEY"):
            body = large(6 * MiB)
            assert (await forge.push(body))[0] == 202
            contents = forge.service._contents.held
            assert contents is not None
            found = await contents.open(content_address(body))
            assert found is not None
            assert found.size_bytes == len(body)
            await found.close()

            async def ended(forge: Forge = forge) -> bool:
                return any(row.closed_us for row in await forge.rows(workflow="pushed"))

            await forge.until(ended)
            s3.__exit__()
            status, answer = await forge.push(large(6 * MiB, "b"))
            assert (status, answer["reason"]) == (503, "DOWNSTREAM_UNAVAILABLE")
            assert len((await forge.client.events()).items) == 1
            assert list((tmp_path / "data" / "spool").iterdir()) == []


async def test_what_the_settings_must_say(tmp_path: Path, forge: Forge) -> None:
    # A reload may bring the first provider of this kind, and open the store.
    assert forge.service._contents.held is not None
    (tmp_path / "other").mkdir()
    plain = Forge(tmp_path / "other", forge.downstream)
    plain.changed = {"large_body_limit_bytes": None}
    await plain.start()
    try:
        assert plain.service._contents.held is None
        assert (await plain.push(large(2 * MiB)))[0] == 413
        assert not plain.store.exists()
        plain.changed = {}
        await plain.service.reload(plain.settings())
        assert (await plain.push(large(2 * MiB)))[0] == 202
        plain.changed = {"subject": ".a"}
        with pytest.raises(ConfigInvalid, match="subject"):
            await plain.service.reload(plain.settings())
    finally:
        await plain.stop()


def _coming(forge: Forge) -> Callable[[], Any]:
    async def coming() -> bool:
        return any(Path(path).stat().st_size > 2 * MiB for path in forge.left())

    return coming


def _none_left(forge: Forge) -> Callable[[], Any]:
    async def none() -> bool:
        return forge.left() == []

    return none


def _text(run_id: bytes) -> str:
    from rco.kit.ids import id_text

    return id_text(run_id)
