"""Content and kill -9: what a put was answered for is there, whole, wherever it stood when the service died, and all of
it ends where objects are kept."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from bench.bridge import Bridge, keyring
from tests.servers.postgres import PostgresServer

from rco.drills.load import Load
from rco.drills.sending import Sending
from rco.kit.digest import content_address
from rco.measure.scratch import Place, scratch
from rco.objects.content import key_of

pytestmark = pytest.mark.timeout(240)
SEED, KILLS, BETWEEN = 5, 6, 60
PUTS = Load(phase="puts", rate_per_s=150.0, get=0.0, webhook=0.0, put=1.0)


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "sqlite":
        where = str(tmp_path / "rco.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        where = server.dsn(server.database())
    async with scratch(where) as made:
        yield made


def acknowledged(record: Path) -> list[str]:
    """The addresses that puts were answered with."""
    lines = [msgspec.json.decode(line) for line in record.read_bytes().splitlines() if line.endswith(b"]")]
    return [line[5] for line in lines if (line[1], line[3]) == ("put", 202)]


async def read(bridge: Bridge, addresses: list[str]) -> None:
    """Each of them, checked."""
    async with aiohttp.ClientSession() as session:
        for address in addresses:
            async with session.get(f"http://127.0.0.1:{bridge.port}/o/{address}") as got:
                assert got.status == 200, (address, got.status, await got.text())
                assert content_address(await got.read()) == address


async def moved(bridge: Bridge, objects: Path, addresses: list[str]) -> None:
    """Wait until nothing waits in the store, and all is in the folder."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{bridge.metrics_port}/metrics") as got:
                (waiting,) = re.findall(r"^rco_objects_staged (\d+)", await got.text(), re.MULTILINE)
            left = await bridge.count("staged_object")
            if (int(waiting), left) == (0, 0):
                break
            await asyncio.sleep(0.05)
    assert [address for address in addresses if not (objects / key_of(address)).exists()] == []


async def test_what_was_answered_outlives_every_kill(tmp_path: Path, place: Place) -> None:
    chance, record = random.Random(SEED), tmp_path / "record"
    async with Bridge(tmp_path / "node", place) as bridge:
        for life in range(KILLS):
            done = len(acknowledged(record)) if record.exists() else 0
            way = msgspec.structs.replace(await bridge.way(f"life{life}", record=str(record)), patience_s=2.0)
            async with Sending(way) as sending:
                await sending.send(PUTS)
                async with asyncio.timeout(60):
                    while len(acknowledged(record)) < done + BETWEEN:
                        await asyncio.sleep(0.02)
                await asyncio.sleep(chance.uniform(0.0, 0.7))
                await bridge.kill()
                await sending.finish()
            await bridge.begin()
            # At once, wherever it stands: part of it was moved, part is read from the store.
            await read(bridge, acknowledged(record)[done:])
        addresses = acknowledged(record)
        assert len(addresses) >= KILLS * BETWEEN
        await moved(bridge, bridge.data / "objects", addresses)
        await read(bridge, addresses)


async def test_another_node_reads_and_moves_what_one_has_left(tmp_path: Path, postgres_server: PostgresServer) -> None:
    ring, objects, record = keyring(tmp_path), tmp_path / "objects", tmp_path / "record"
    objects.mkdir()
    more = {"objects": {"place": f"file:{objects}"}}
    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(scratch(postgres_server.dsn(postgres_server.database())))
        # Nothing can be moved: the folder that contents belong into is a file.
        (objects / "content").write_bytes(b"")
        first = await stack.enter_async_context(Bridge(tmp_path / "a", place, ring=ring, more=more))
        second = await stack.enter_async_context(Bridge(tmp_path / "b", place, ring=ring, more=more))
        sending = await stack.enter_async_context(Sending(await first.way("one", record=str(record))))
        await sending.send(PUTS)
        async with asyncio.timeout(60):
            while not record.exists() or len(acknowledged(record)) < BETWEEN:
                await asyncio.sleep(0.02)
        await sending.finish()
        addresses = acknowledged(record)
        await read(second, addresses)
        await first.kill()
        await read(second, addresses)
        (objects / "content").unlink()
        await second.kill()
        await second.begin()
        await moved(second, objects, addresses)
        await read(second, addresses)
