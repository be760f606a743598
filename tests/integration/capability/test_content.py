"""The content store over HTTP: what is put comes out by its address, and nothing else does."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.integration.capability.conftest import Governed
from tests.integration.service.conftest import Downstream

from rco.capability.token import attenuated, parse
from rco.config.settings import Settings
from rco.errors import StoreError
from rco.kit.digest import content_address
from rco.model.grant_rule import GrantRule
from rco.model.wire_capabilities import MintAsk
from rco.objects.content import key_of
from rco.objects.contract import CHUNK_BYTES
from rco.objects.options import ContentOptions, ObjectOptions

APP = """
from rco.workflow import Context, workflow

@workflow(on="interop.put.accepted.v1")
async def sees(ctx: Context, event: dict) -> dict:
    return event["data"]
"""
LIMIT = 1 << 20
MiB = 1 << 20


class Keeping(Governed):
    """A governed service with a content store."""

    def __init__(self, folder: Path, downstream: Downstream) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.rules = [GrantRule(to=["provider:put"], scopes=["run:start:sees"])]
        self.content = ContentOptions(enabled=True, object_limit_bytes=8 * MiB, inflight=2)
        self.place = ""

    def settings(self, **more: Any) -> Settings:
        return msgspec.structs.replace(
            super().settings(**more), content=self.content, objects=ObjectOptions(place=self.place)
        )

    async def token(self, *scopes: str) -> str:
        made = await self.client.mint(MintAsk(scopes=list(scopes or ("write:put",)), ttl_ms=60_000))
        return str(made.token)

    async def put(self, data: Any, token: str | None = None, kind: str = "application/octet-stream") -> Answer:
        headers = {"Authorization": f"Bearer {token or await self.token()}", "Content-Type": kind}
        url = f"{self.service.url}/put"
        async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=headers) as got:
            return Answer(got.status, dict(got.headers), await got.read())

    async def get(self, address: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.service.url}/o/{address}"
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=named) as got:
            return Answer(got.status, dict(got.headers), await got.read())

    async def moved(self) -> None:
        """Wait until nothing that was put stands in the store any more."""
        store = self.service._contents.held
        assert store is not None
        staging = store.staging
        assert staging is not None

        async def nothing() -> bool:
            return staging.waiting == 0

        await self.until(nothing)

    def file(self, address: str) -> Path:
        return self.folder / "data/objects" / key_of(address)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        assert sorted(self.json) == ["corr_id", "error", "reason"]
        assert self.json["corr_id"] == self.headers["x-corr-id"]
        return str(self.json["reason"])


async def world_of(
    folder: Path, place: str = "", kind: type[Keeping] = Keeping, **content: Any
) -> AsyncIterator[Keeping]:
    downstream = Downstream()
    await downstream.start()
    world = kind(folder, downstream)
    world.place = place
    world.content = msgspec.structs.replace(world.content, **content)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


@pytest.fixture(params=["", "memory"])
async def either(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Keeping]:
    async for world in world_of(tmp_path, request.param):
        yield world


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Keeping]:
    async for world in world_of(tmp_path):
        yield world


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 3 * MiB + 7])
async def test_bytes_come_back_by_their_address(either: Keeping, size: int) -> None:
    data = os.urandom(size)
    put = await either.put(data)
    assert (put.status, put.json["address"]) == (202, content_address(data))
    assert put.json["corr_id"] == put.headers["x-corr-id"]
    got = await either.get(content_address(data))
    assert (got.status, got.body) == (200, data)
    assert got.headers["content-length"] == str(size)
    assert got.headers["content-type"] == "application/octet-stream"
    assert (await either.put(data)).json["address"] == content_address(data)


async def test_json_brings_text_or_base64_and_says_what_it_is(keeping: Keeping) -> None:
    for asked, data, kind, encoding in (
        ({"payload": "grüß"}, "grüß".encode(), "application/octet-stream", None),
        (
            {"payload": "a b", "meta": {"type": "text/plain", "provider": "shop"}},
            b"a b",
            "text/plain; charset=utf-8",
            None,
        ),
        (
            {"payload": "AAEC", "meta": {"content_encoding": "base64", "type": "Image/PNG"}},
            b"\0\1\2",
            "image/png",
            None,
        ),
        ({"payload": "AAED", "meta": {"content_encoding": "gzip"}}, b"\0\1\3", "application/octet-stream", "gzip"),
        ({"payload": "<script>", "meta": {"type": "text/html"}}, b"<script>", "application/octet-stream", None),
        ({"payload": "<svg/>", "meta": {"type": "image/svg+xml"}}, b"<svg/>", "application/octet-stream", None),
    ):
        put = await keeping.put(json.dumps(asked).encode(), kind="application/json; charset=utf-8")
        assert (put.status, put.json["address"]) == (202, content_address(data)), asked
        got = await keeping.get(content_address(data))
        assert (got.body, got.headers["content-type"]) == (data, kind)
        assert got.headers.get("x-content-stored-encoding") == encoding
        assert "content-encoding" not in got.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"payload":1}',
        b'{"payload":"a","more":1}',
        b'{"payload":"a","meta":{"typ":"x"}}',
        b'{"payload":"***","meta":{"content_encoding":"base64"}}',
        b'{"payload":"a","meta":{"content_encoding":"rot13"}}',
        b'{"payload":"a","meta":{"type":"text/plain\\r\\nx: y"}}',
        b'{"payload":"\xff"}',
        b"[" * 100_000,
    ],
)
async def test_json_that_says_something_else_is_malformed(keeping: Keeping, body: bytes) -> None:
    put = await keeping.put(body, kind="application/json")
    assert (put.status, put.reason) == (400, "MALFORMED")


async def test_nothing_that_was_put_runs_in_a_browser(keeping: Keeping) -> None:
    put = await keeping.put(
        b'{"payload":"<script>alert(1)</script>","meta":{"type":"text/html"}}', kind="application/json"
    )
    got = await keeping.get(put.json["address"])
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.headers["content-disposition"] == "attachment"
    assert got.headers["content-type"] == "application/octet-stream"


async def test_only_a_capability_with_the_scope_may_put(keeping: Keeping) -> None:
    async def refused(token: str, status: int, reason: str) -> None:
        put = await keeping.put(b"data", token)
        assert (put.status, put.reason) == (status, reason)

    await refused("rcap1_nothing", 401, "UNAUTH")
    await refused((keeping.folder / "data/admin.token").read_text().strip(), 401, "UNAUTH")
    await refused(await keeping.token("call:stock"), 403, "SCOPE_MISMATCH")
    good = await keeping.token()
    await refused(good[:-2] + ("aa" if good[-2:] != "aa" else "bb"), 401, "UNAUTH")
    await refused(str(attenuated(parse(good), b"exp=1000")), 401, "EXPIRED_TOKEN")
    bound = str(attenuated(parse(good), f"body={content_address(b'this')}".encode()))
    await refused(bound, 403, "SCOPE_MISMATCH")
    assert (await keeping.put(b"this", bound)).status == 202
    assert (await keeping.get(content_address(b"data"))).status == 404
    decisions = [one for one in await keeping.decisions() if one.get("subject") == "put"]
    assert [one.get("reason") for one in decisions if not one.get("allow", True)] == [
        "cap_malformed",
        "cap_missing",
        "cap_act",
        "cap_tag",
        "cap_exp",
        "cap_body",
    ]
    assert good[20:] not in json.dumps(decisions)


async def test_a_put_leaves_a_decision_and_an_event_that_starts_runs(keeping: Keeping) -> None:
    put = await keeping.put(b'{"payload":"x","meta":{"type":"text/plain","provider":"shop"}}', kind="application/json")
    address = put.json["address"]
    said = {"address": address, "size_bytes": 1, "type": "text/plain", "provider": "shop"}
    assert await keeping.end(await keeping.only("sees")) == said
    (decision,) = [one for one in await keeping.decisions() if one["verb"] == "accept"]
    assert (decision["subject"], decision["b3"], decision["corr_id"]) == ("put", address, put.json["corr_id"])
    assert decision["facts"]["size_bytes"] == 1
    assert decision["actor"].startswith("capability:cap_")
    page = await keeping.client.events(type="interop.put.accepted.v1")
    assert [(one.subject, one.corr_id) for one in page.items] == [(address, put.json["corr_id"])]


async def test_what_is_too_large_is_refused_while_it_streams(keeping: Keeping) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(9 * 16):
            yield bytes(CHUNK_BYTES)

    announced = await keeping.put(bytes(8 * MiB + 1))
    assert (announced.status, announced.reason) == (413, "BODY_LIMIT")
    try:
        streamed = await keeping.put(endless())
        assert (streamed.status, streamed.reason) == (413, "BODY_LIMIT")
    except aiohttp.ClientConnectionError:
        pass  # the connection ended while the client was still sending: it had no ears for the answer
    over = json.dumps({"payload": "a" * LIMIT}).encode()
    assert (await keeping.put(over, kind="application/json")).status == 413
    assert list((keeping.folder / "data/objects").glob("content/*/*")) == []
    assert list((keeping.folder / "data/objects/.incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("header", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=5-", 206, 5, 199_999),
        ("bytes=-7", 206, 199_993, 199_999),
        ("bytes=-900000", 206, 0, 199_999),
        ("bytes=65530-65545", 206, 65_530, 65_545),
        ("bytes=131000-900000", 206, 131_000, 199_999),
        ("bytes=200000-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-5", 200, 0, 199_999),
        ("bytes=0-1,5-6", 200, 0, 199_999),
        ("items=0-1", 200, 0, 199_999),
        ("bytes=a-b", 200, 0, 199_999),
    ],
)
async def test_one_range_of_it(keeping: Keeping, header: str, status: int, first: int, last: int) -> None:
    data = os.urandom(200_000)
    address = (await keeping.put(data)).json["address"]
    got = await keeping.get(address, Range=header)
    assert got.status == status
    if status == 416:
        assert got.headers["content-range"] == "bytes */200000"
        return
    assert got.body == data[first : last + 1]
    assert got.headers.get("content-range") == (f"bytes {first}-{last}/200000" if status == 206 else None)


async def test_what_a_client_has_is_not_sent_again(keeping: Keeping) -> None:
    address = (await keeping.put(b"hello")).json["address"]
    tag = (await keeping.get(address)).headers["etag"]
    assert tag == f'"{address}"'
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        got = await keeping.get(address, If_None_Match=header)
        assert (got.status, got.body, got.headers["etag"]) == (304, b"", tag)
    assert (await keeping.get(address, If_None_Match='"other"')).status == 200
    assert (await keeping.get(address, Range="bytes=0-1", If_Range=tag)).status == 206
    assert (await keeping.get(address, Range="bytes=0-1", If_Range='"other"')).status == 200
    head = await keeping.get(address, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")


@pytest.mark.parametrize(
    ("address", "status", "reason"),
    [
        ("b3:" + "0" * 64, 404, "NOT_FOUND"),
        ("b3:" + "0" * 63, 400, "MALFORMED"),
        ("b3:" + "A" * 64, 400, "MALFORMED"),
        ("b3:" + "0" * 64 + "/x", 400, "MALFORMED"),
        ("b3%3A" + "0" * 64, 404, "NOT_FOUND"),
        ("sha256:" + "0" * 64, 400, "MALFORMED"),
        ("..%2f..%2fkeyring.json", 400, "MALFORMED"),
        ("", 400, "MALFORMED"),
    ],
)
async def test_an_address_is_one_or_it_is_not(keeping: Keeping, address: str, status: int, reason: str) -> None:
    got = await keeping.get(address)
    assert (got.status, got.reason) == (status, reason)
    if status == 404:
        assert (await keeping.get(address, "POST")).reason == "METHOD"


@pytest.mark.parametrize("size", [100, 3 * CHUNK_BYTES])
async def test_content_with_a_flipped_bit_does_not_come_out_whole(keeping: Keeping, size: int) -> None:
    data = os.urandom(size)
    address = (await keeping.put(data)).json["address"]
    await keeping.moved()
    file = keeping.file(address)
    good = file.read_bytes()
    for place in (0, 16, len(good) - size, len(good) - 1):
        bad = bytearray(good)
        bad[place] ^= 1
        file.write_bytes(bad)
        for headers in ({}, {"Range": "bytes=0-0"}):
            try:
                got = await keeping.get(address, **headers)
            except aiohttp.ClientPayloadError:
                assert size > CHUNK_BYTES, "what fits into one piece is checked before a word is sent"
                continue
            assert (got.status, got.reason) == (500, "INTERNAL"), (place, headers)
    file.write_bytes(good[:-1])
    try:
        assert (await keeping.get(address)).status == 500
    except aiohttp.ClientPayloadError:
        assert size > CHUNK_BYTES
    assert (await keeping.put(data)).status == 202, "a second put heals it"
    assert (await keeping.get(address)).body == data
    await keeping.moved()
    assert file.read_bytes().endswith(data)
    assert any(one.get("reason") == "content_broken" for one in await keeping.decisions())


async def test_only_so_many_come_in_at_a_time(keeping: Keeping) -> None:
    token = await keeping.token()
    inside = asyncio.Event()
    release = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        inside.set()
        await release.wait()
        yield b"b"

    first = [asyncio.create_task(keeping.put(slow(), token)) for _ in range(2)]
    await inside.wait()
    refused = await _until(lambda: keeping.put(b"third", token), 429)
    assert refused.reason == "BACKPRESSURE"
    assert refused.headers["retry-after"] == "1"
    release.set()
    assert [one.status for one in await asyncio.gather(*first)] == [202, 202]
    assert (await keeping.put(b"third", token)).status == 202


async def _until(ask: Any, status: int) -> Answer:
    async with asyncio.timeout(30):
        while True:
            got: Answer = await ask()
            if got.status == status:
                return got


async def test_a_service_that_drains_takes_nothing_and_gives_what_it_has(keeping: Keeping) -> None:
    address = (await keeping.put(b"kept")).json["address"]
    token = await keeping.token()
    keeping.service._ingress.drain()
    put = await keeping.put(b"new", token)
    assert (put.status, put.reason) == (503, "BACKPRESSURE")
    assert (await keeping.get(address)).body == b"kept"


async def test_reading_may_need_a_token(tmp_path: Path) -> None:
    async for world in world_of(tmp_path, readers="principals"):
        address = (await world.put(b"kept")).json["address"]
        assert (await world.get(address)).reason == "UNAUTH"
        admin = (world.folder / "data/admin.token").read_text().strip()
        assert (await world.get(address, Authorization=f"Bearer {admin}")).body == b"kept"


async def test_other_methods_and_types_are_refused(keeping: Keeping) -> None:
    put = await keeping.put(b"<a/>", kind="text/xml")
    assert (put.status, put.reason) == (415, "MEDIA_TYPE")
    async with aiohttp.ClientSession() as session, session.get(f"{keeping.service.url}/put") as got:
        assert (got.status, got.headers["Allow"]) == (405, "POST")
    async with aiohttp.ClientSession() as session, session.post(f"{keeping.service.url}/put/x") as got:
        assert got.status == 404


async def test_without_capabilities_nothing_is_there(governed: Any) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{governed.service.url}/put", data=b"x") as got:
        assert got.status == 404


async def test_puts_tell_the_sentinel_how_they_went_and_reads_do_not(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinel = keeping.service._bridge.sentinel
    heard: list[str] = []
    monkeypatch.setattr(type(sentinel), "answered", lambda _, now_s, error: heard.append("bad" if error else "good"))
    monkeypatch.setattr(type(sentinel), "asked", lambda _, now_s, took_s: heard.append("asked"))
    token = await keeping.token()
    heard.clear()
    address = (await keeping.put(b"one", token)).json["address"]
    assert heard == ["asked", "good"]
    # A read, and what the sender did wrong, say nothing.
    await keeping.get(address)
    assert (await keeping.put(b"two", token, kind="text/html")).status == 415
    assert heard == ["asked", "good"]

    async def away(*_: Any) -> None:
        raise StoreError("away")

    monkeypatch.setattr("rco.server.content.record_put", away)
    assert (await keeping.put(b"three", token)).status == 503
    assert heard == ["asked", "good", "bad"]
