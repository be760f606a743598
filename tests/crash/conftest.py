"""Processes that all tests of this folder share, and what every test does at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.crash.world import Downstream, NodeWorld, Zygote


@pytest.fixture(scope="session")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    service = Downstream(tmp_path_factory.mktemp("downstream"), seed=11)
    yield service
    service.stop()


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    process = Zygote()
    yield process
    process.stop()


@pytest.fixture
async def node(tmp_path: Path, downstream: Downstream, zygote: Zygote) -> AsyncIterator[NodeWorld]:
    """A node that has not begun to live."""
    world = NodeWorld(tmp_path, downstream, zygote)
    yield world
    await world.stop()
