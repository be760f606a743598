"""The class that a workflow names for its runs: behind the rules of the configuration, refused when nobody knows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.service.conftest import Downstream, World

from rco.app import build
from rco.config.settings import Settings
from rco.errors import ConfigInvalid
from rco.kit.ids import id_bytes
from rco.model.retention import RetentionClass, RetentionOptions, RunRule

APP = """
from rco.workflow import Context, workflow

@workflow(retention="short")
async def quick(ctx: Context, given: str) -> str:
    return given

@workflow(retention="ever")
async def kept(ctx: Context, given: str) -> str:
    return given

@workflow
async def plain(ctx: Context, given: str) -> str:
    return given
"""
CLASSES = {"short": RetentionClass(keep_s=0.001), "ever": RetentionClass()}


class Kept(World):
    """A service whose workflows name classes."""

    def __init__(self, folder: Path, downstream: Downstream) -> None:
        super().__init__(folder, downstream)
        (folder / "app.py").write_text(APP)
        self.retention = RetentionOptions(classes=CLASSES, rate_per_s=100_000.0)

    def settings(self, **more: Any) -> Settings:
        settings = super().settings(**more)
        return msgspec.structs.replace(settings, subscriptions=[], retention=self.retention)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Kept]:
    downstream = Downstream()
    await downstream.start()
    world = Kept(tmp_path, downstream)
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


async def left(world: Kept) -> list[str]:
    ids = {name: (await world.client.start(name, "x")).id for name in ("quick", "kept", "plain")}
    for one in ids.values():
        await world.end(one)

    async def dropped() -> bool:
        await world.client.retention.run()
        rows = [await world.service._keeper.reader.run(id_bytes(one)) for one in ids.values()]
        return any(row is None for row in rows)

    await world.until(dropped)
    found = {name: await world.service._keeper.reader.run(id_bytes(one)) for name, one in ids.items()}
    return [name for name, row in found.items() if row is not None]


async def test_the_class_that_a_workflow_names(world: Kept) -> None:
    assert await left(world) == ["kept", "plain"]
    # A rule of the operator's stands before it.
    world.retention = msgspec.structs.replace(
        world.retention, runs=[RunRule(workflow="quick", keep="ever"), RunRule(workflow="plain", keep="short")]
    )
    await world.service.reload(world.settings())
    assert await left(world) == ["quick", "kept"]


async def test_a_class_that_nobody_declared_is_refused_with_the_nearest(world: Kept) -> None:
    settings = msgspec.structs.replace(
        world.settings(),
        retention=RetentionOptions(classes={"shorter": RetentionClass(keep_s=1), "ever": CLASSES["ever"]}),
    )
    with pytest.raises(ConfigInvalid, match=r"'quick' is to be kept by the class 'short'.*Did you mean shorter"):
        await world.service.reload(settings)
    with pytest.raises(ConfigInvalid, match="Did you mean shorter"):
        await build(settings, environ={"SHOP": "x"}, migrating=True)
    nothing = msgspec.structs.replace(settings, retention=RetentionOptions())
    with pytest.raises(ConfigInvalid, match=r"retention: \{classes: \{"):
        await build(nothing, environ={"SHOP": "x"}, migrating=True)
