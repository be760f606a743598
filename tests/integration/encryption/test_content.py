"""The content store of a namespace that has a key: ciphertext on the disk, the same over HTTP, gone with the key."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.capability.test_content import Keeping
from tests.integration.service.conftest import Downstream
from tests.integration.service.test_large_bodies import Forge, MiB

from rco.capability.keyfile import rotate
from rco.config.settings import Settings
from rco.encryption.options import EncryptionOptions
from rco.errors import PayloadErased
from rco.kit.clock import SystemClock
from rco.kit.digest import content_address
from rco.kit.ids import Ids, id_text
from rco.model.run import Mode
from rco.model.wire_namespace_keys import NamespaceKeyAsk
from rco.objects.contract import CHUNK_BYTES

pytestmark = pytest.mark.timeout(120)
WORD = b"Heart of Gold "


def ring(folder: Path) -> EncryptionOptions:
    path = folder / "payload-keyring.json"
    if not path.exists():
        rotate(path, ids=Ids(), now_us=SystemClock().now_us(), lead_s=0, overlap_s=3600)
    return EncryptionOptions(keys=f"file:{path}", lead_s=1)


def holding(folder: Path, *words: bytes) -> list[str]:
    """Files of the service in which one of ``words`` stands."""
    files = [path for path in (folder / "data").rglob("*") if path.is_file()]
    return [path.name for path in files if any(word in path.read_bytes() for word in words)]


async def ask(world: Any, verb: str) -> None:
    await getattr(world.client.namespace_keys, verb)(NamespaceKeyAsk(namespace="default", reason="it is law"))


class Sealed(Keeping):
    def settings(self, **more: Any) -> Settings:
        return msgspec.structs.replace(super().settings(**more), encryption=ring(self.folder))


class SealedForge(Forge):
    def settings(self, **more: Any) -> Settings:
        return msgspec.structs.replace(super().settings(**more), encryption=ring(self.folder))


async def _lives(world: Any) -> AsyncIterator[Any]:
    await world.downstream.start()
    await world.start()
    yield world
    await world.stop()
    await world.downstream.stop()


@pytest.fixture
async def sealed(tmp_path: Path) -> AsyncIterator[Sealed]:
    async for world in _lives(Sealed(tmp_path, Downstream())):
        yield world


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[SealedForge]:
    async for world in _lives(SealedForge(tmp_path, Downstream())):
        yield world


@pytest.mark.parametrize("size", [0, 700, CHUNK_BYTES, 5 * CHUNK_BYTES + 3])
async def test_what_is_put_is_ciphertext_and_comes_out_whole_and_in_part(sealed: Sealed, size: int) -> None:
    await ask(sealed, "create")
    body = (WORD * (size // len(WORD) + 1))[:size]
    put = await sealed.put(body)
    address = put.json["address"]
    assert (put.status, address) == (202, content_address(body))
    assert holding(sealed.folder, WORD * 2) == []
    await sealed.moved()
    assert not sealed.file(address).exists()
    assert holding(sealed.folder, WORD * 2) == []
    got = await sealed.get(address)
    assert (got.status, got.body) == (200, body)
    head = await sealed.get(address, "HEAD")
    assert (head.status, int(head.headers["content-length"])) == (200, size)
    if size > 100:
        for asked, part in (("bytes=90-", body[90:]), (f"bytes={size - 5}-", body[-5:]), ("bytes=3-70", body[3:71])):
            got = await sealed.get(address, Range=asked)
            assert (got.status, got.body) == (206, part)
            assert got.headers["content-range"].endswith(f"/{size}")
    # Another process with the keys reads the same.
    await sealed.again()
    assert (await sealed.get(address)).body == body


async def test_erased_with_the_key_it_is_gone_and_the_answer_says_so(sealed: Sealed) -> None:
    before = (await sealed.put(b"from before there was a key")).json["address"]
    await ask(sealed, "create")
    body = WORD * 20_000
    address = (await sealed.put(body)).json["address"]
    small = (await sealed.put(WORD)).json["address"]
    await ask(sealed, "erase")
    for one in (address, small):
        for method in ("GET", "HEAD"):
            assert (await sealed.get(one, method)).status == 410
        assert (await sealed.get(one)).reason == "ERASED"
    assert (await sealed.get(content_address(b"never put"))).status == 404
    # What was put before the namespace had a key never was under it.
    assert (await sealed.get(before)).body == b"from before there was a key"
    # Nothing new is taken, and nothing of it is left.
    refused = await sealed.put(b"new")
    assert (refused.status, refused.reason) == (403, "POLICY_BLOCKED")
    assert (await sealed.get(content_address(b"new"))).status == 404
    await sealed.again()
    assert (await sealed.get(address)).status == 410


async def test_a_large_webhook_of_such_a_namespace(forge: SealedForge) -> None:
    await ask(forge, "create")
    body = b'{"pad": "' + WORD * (3 * MiB // len(WORD)) + b'"}'
    status, _ = await forge.push(body)
    assert status == 202
    assert holding(forge.folder, WORD * 2) == []

    async def read() -> bool:
        return any(row.workflow == "pushed" and row.mode is Mode.CLOSED for row in await forge.rows())

    await forge.until(read)
    run = next(row for row in await forge.rows() if row.workflow == "pushed")
    # A step reads it as it came.
    assert (await forge.client.run(id_text(run.run_id))).result["size"] == len(body)
    assert (await forge.push(body))[1]["duplicate"]
    await ask(forge, "erase")
    store = forge.service._contents.held
    assert store is not None
    with pytest.raises(PayloadErased):
        await store.open(content_address(body))
    assert (await forge.push(b'{"pad": "' + os.urandom(2 * MiB).hex().encode() + b'"}'))[0] == 403
    assert forge.left() == []
