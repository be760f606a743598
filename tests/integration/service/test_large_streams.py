"""Large webhooks whose length is not announced, and compressed ones: over raw sockets, to the content store."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import brotli
import msgspec
import pytest
from tests.integration.service.conftest import Downstream
from tests.integration.service.test_large_bodies import Forge, MiB, large
from tests.servers.s3 import S3Server

from rco.kit.digest import content_address
from rco.server import large_bodies

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.timeout(180)
ENCODE = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4, lgwin=20),
    "zstd": zstd.compress,
}


@pytest.fixture(scope="module")
def s3() -> Any:
    with S3Server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
async def forge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Forge]:
    downstream = Downstream()
    await downstream.start()
    objects: dict[str, Any] = {}
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        objects = {
            "place": f"s3://{server.bucket}/{tmp_path.name}",
            "endpoint": server.endpoint,
            "access_key_id": "env:KEY",
            "secret_access_key": "env:KEY",
        }
    world = Forge(tmp_path, downstream, **objects)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


def chunked(data: bytes, size_bytes: int = 100_000, *, end: bool = True) -> bytes:
    pieces = [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")


async def answer(forge: Forge, writer: asyncio.StreamWriter) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(60):
        head = await forge.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await forge.reader.readexactly(int(fields[b"content-length"]))
    writer.close()
    return int(head.split(b" ", 2)[1]), json.loads(body)


async def addresses(forge: Forge) -> list[str]:
    """What the events of this provider refer to."""
    events = (await forge.client.events(type="github.push")).items
    found = [(await forge.client.event(one.id)).data for one in events]
    return [one["dataref"]["address"] for one in found if "dataref" in one]


def _refused(forge: Forge, detail: str) -> Callable[[], Awaitable[bool]]:
    async def recorded() -> bool:
        return detail in await forge.refusals()

    return recorded


async def content(forge: Forge, address: str) -> bytes:
    store = forge.service._contents.held
    assert store is not None
    found = await store.open(address)
    assert found is not None
    return b"".join([piece async for piece in found.stream()])


async def test_a_body_in_chunks_is_the_delivery_that_an_announced_one_is(forge: Forge) -> None:
    body = large(3 * MiB)
    status, told = await answer(forge, await forge.raw(chunked(body), None, signed=body))
    assert (status, told.get("duplicate")) == (202, None)
    assert await addresses(forge) == [content_address(body)]
    assert await content(forge, content_address(body)) == body
    # The same, announced and in other chunks: the thief who changes the framing has changed nothing.
    assert (await forge.push(body))[1]["duplicate"]
    status, told = await answer(forge, await forge.raw(chunked(body, 7777), None, signed=body))
    assert (status, told["duplicate"]) == (202, True)
    # And one that fits is held and parsed as ever.
    small = large(MiB)
    assert (await answer(forge, await forge.raw(chunked(small), None, signed=small)))[0] == 202
    assert await addresses(forge) == [content_address(body)]
    assert forge.left() == []


async def test_chunks_are_counted_while_they_come(forge: Forge) -> None:
    body = large(26 * MiB)
    writer = await forge.raw(chunked(body), None, signed=body)
    status, told = await answer(forge, writer)
    assert (status, told["reason"]) == (413, "BODY_LIMIT")
    for data, signed, refused in (
        (chunked(large(2 * MiB)), large(2 * MiB, "b"), 401),
        (chunked(large(2 * MiB), end=False) + b"zz\r\n", large(2 * MiB), 400),
    ):
        assert (await answer(forge, await forge.raw(data, None, signed=signed)))[0] == refused
    # One that goes away in the middle leaves nothing.
    writer = await forge.raw(chunked(large(2 * MiB), end=False), None, signed=large(2 * MiB))
    await writer.drain()
    writer.transport.abort()

    async def over() -> bool:
        return forge.service._turnstile.held_bytes == 0 and "body_cut" in await forge.refusals()

    await forge.until(over)
    assert forge.left() == []
    assert await addresses(forge) == []


async def test_chunks_that_stop_coming_are_ended_in_time(forge: Forge) -> None:
    await forge.stop()
    forge.content = msgspec.structs.replace(forge.content, put_timeout_s=1.0)
    await forge.start()
    writer = await forge.raw(chunked(large(2 * MiB), end=False), None, signed=large(2 * MiB))
    status, told = await answer(forge, writer)
    assert (status, told["reason"]) == (408, "TIMEOUT")
    assert forge.left() == []


@pytest.mark.parametrize("coding", ENCODE)
@pytest.mark.parametrize("framed", ["announced", "chunked"])
async def test_a_compressed_body_is_kept_as_what_it_is(forge: Forge, coding: str, framed: str) -> None:
    import random

    # Large on the wire too: three quarters of it cannot be made smaller.
    body = json.dumps({"pad": "x" * MiB, "noise": random.Random(7).randbytes(MiB).hex()}).encode()
    wire = ENCODE[coding](body)
    assert len(wire) > MiB
    announced = len(wire) if framed == "announced" else None
    data = wire if framed == "announced" else chunked(wire)
    status, _ = await answer(forge, await forge.raw(data, announced, signed=wire, Content_Encoding=coding))
    assert status == 202
    assert await addresses(forge) == [content_address(body)]
    assert await content(forge, content_address(body)) == body
    # What makes it unique are the bytes that were signed.
    status, told = await answer(forge, await forge.raw(wire, len(wire), signed=wire, Content_Encoding=coding))
    assert (status, told["duplicate"]) == (202, True)
    assert forge.left() == []


@pytest.mark.parametrize("coding", ENCODE)
async def test_one_that_is_small_on_the_wire_alone(forge: Forge, coding: str) -> None:
    body = json.dumps({"pad": [number * 7919 % 100_003 for number in range(300_000)]}).encode()
    wire = ENCODE[coding](body)
    assert len(wire) < MiB < len(body)
    status, _ = await forge.push(wire, Content_Encoding=coding)
    assert status == 202
    assert await addresses(forge) == [content_address(body)]
    assert forge.left() == []


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_bomb_a_cut_and_what_nobody_has_signed(
    forge: Forge, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    decoding = large_bodies.Decoding

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal looked
        looked += 1
        return decoding(*given, **named)

    monkeypatch.setattr(large_bodies, "Decoding", counted)
    noise = ENCODE[coding](__import__("random").Random(3).randbytes(2 * MiB))
    bomb = ENCODE[coding](bytes(64 * MiB) + __import__("random").Random(3).randbytes(2 * MiB))
    # Not a byte is decoded for who cannot prove it, in chunks or announced.
    for announced, data in ((len(noise), noise), (None, chunked(noise))):
        writer = await forge.raw(data, announced, signed=b"something else", Content_Encoding=coding)
        assert (await answer(forge, writer))[0] == 401
    assert looked == 0
    for wire, detail in ((bomb, "decoded_size"), (noise[:-1], "encoding_truncated"), (noise + b"x", None)):
        writer = await forge.raw(wire, len(wire), signed=wire, Content_Encoding=coding)
        status, told = await answer(forge, writer)
        assert (status, told["reason"]) == (400, "DECOMP_LIMIT" if wire is bomb else "MALFORMED")
        if detail is not None and not (coding == "br" and wire is not bomb):
            await forge.until(_refused(forge, detail))
    assert looked == 3
    assert forge.left() == []
    assert await addresses(forge) == []


async def test_a_coding_that_nobody_knows_is_refused_before_its_body_comes(forge: Forge) -> None:
    body = large(2 * MiB)
    for coding, status in (("rot13", 415), ("gzip, gzip", 400)):
        writer = await forge.raw(b"", len(body), signed=body, Content_Encoding=coding)
        assert (await answer(forge, writer))[0] == status
