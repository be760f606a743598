"""Processes that all tests of this folder share, and what every test does at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.crash.cluster import QUICK, Cluster
from tests.crash.world import Downstream, NodeWorld, Zygote
from tests.servers.postgres import PostgresServer


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


@pytest.fixture(scope="session")
def crash_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that is made to fall; it notes when each commit was made."""
    server = PostgresServer("track_commit_timestamp=on")
    yield server
    server.stop()


@pytest.fixture
def leases() -> dict[str, str]:
    """Those of the nodes of ``cluster``; a test may have others by parametrizing it."""
    return QUICK


@pytest.fixture
async def cluster(
    tmp_path: Path, downstream: Downstream, crash_server: PostgresServer, leases: dict[str, str]
) -> AsyncIterator[Cluster]:
    """Three nodes that have not begun to live."""
    world = Cluster(tmp_path, downstream, crash_server, seed=1, leases=leases)
    yield world
    await world.end()
