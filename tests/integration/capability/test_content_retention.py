"""Content that nobody has put for longer than its class is kept goes; all else stays, and the evidence says so."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.capability.test_content import Keeping, world_of

from rco.config.settings import Settings
from rco.model.retention import RetentionClass, RetentionOptions
from rco.telemetry import signals

CLASSES = {"brief": RetentionClass(keep_s=3600.0)}


class Dropping(Keeping):
    def settings(self, **more: Any) -> Settings:
        options = RetentionOptions(classes=CLASSES, content="brief", rate_per_s=100_000.0)
        return msgspec.structs.replace(super().settings(**more), retention=options)

    async def grow_old(self, address: str) -> None:
        await self.moved()
        path = self.file(address)
        seen = path.stat()
        os.utime(path, (seen.st_atime - 7200, seen.st_mtime - 7200))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Any]:
    async for world in world_of(tmp_path, kind=Dropping):
        yield world


async def test_what_is_over_its_time_goes_and_what_was_put_again_stays(world: Dropping) -> None:
    addresses = [(await world.put(os.urandom(100 + at))).json["address"] for at in range(4)]
    again = await world.put(b"again and again")
    for address in (*addresses[:3], again.json["address"]):
        await world.grow_old(address)
    await world.put(b"again and again")
    for _ in range(2):
        view = await world.client.retention.run(preview=True)
        assert [(one.kind, one.retention, one.count) for one in view.lines] == [("content", "brief", 3)]
        assert view.lines[0].since is not None
    assert (await world.get(addresses[0])).status == 200, "a preview changes nothing"

    view = await world.client.retention.run()
    assert [(one.kind, one.retention, one.count) for one in view.lines] == [("content", "brief", 3)]
    assert [(await world.get(address)).status for address in addresses] == [404, 404, 404, 200]
    assert (await world.get(again.json["address"])).status == 200
    assert (await world.client.retention.run()).lines == []
    assert world.service.metrics.counter(signals.RETENTION_DROPPED, kind="content").value == 3

    async def told() -> bool:
        return any(one["verb"] == "retain" and one.get("subject") == "content" for one in await world.decisions())

    await world.until(told)
    (decision,) = [one for one in await world.decisions() if one.get("subject") == "content"]
    assert decision["facts"]["class"] == "brief"
    assert decision["facts"]["count"] == 3
    assert decision["facts"]["size_bytes"] > 300


async def test_more_than_a_page_goes_and_a_second_service_on_the_folder_does_not_mind(
    world: Dropping, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rco.operations.drop_content as drop_content

    monkeypatch.setattr(drop_content, "PAGE", 2)
    addresses = [(await world.put(os.urandom(50 + at))).json["address"] for at in range(7)]
    for address in addresses:
        await world.grow_old(address)
    # Somebody else has dropped one meanwhile.
    world.file(addresses[3]).unlink()
    view = await world.client.retention.run()
    assert [one.count for one in view.lines] == [6]
    assert {(await world.get(address)).status for address in addresses} == {404}


async def test_nothing_goes_where_no_class_is_named(world: Dropping) -> None:
    put = await world.put(b"kept for ever")
    await world.grow_old(put.json["address"])
    retention = world.service._desk.retention
    retention.options = msgspec.structs.replace(retention.options, content="")
    assert (await world.client.retention.run()).lines == []
    assert (await world.get(put.json["address"])).status == 200
