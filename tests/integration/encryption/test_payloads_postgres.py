"""The same on PostgreSQL: no table of the database holds a word of a payload, and none does after an erasure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.integration.encryption.conftest import SECRET, Vault
from tests.integration.encryption.test_payloads import WORDS, busy, chain_holds
from tests.integration.service.conftest import Downstream
from tests.servers.postgres import PostgresServer

from rco.config.settings import Settings
from rco.model.run import Mode


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


class Elsewhere(Vault):
    dsn = ""

    def settings(self, **more: Any) -> Settings:
        settings = super().settings(**more)
        return msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, path=self.dsn))

    async def stored(self) -> bytes:
        """Every row of every table, as bytes."""
        connection = await asyncpg.connect(self.dsn)
        try:
            names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            pieces: list[bytes] = []
            for (name,) in names:
                for row in await connection.fetch(f'SELECT * FROM "{name}"'):
                    pieces += [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
            return b"\n".join(pieces)
        finally:
            await connection.close()


@pytest.fixture
async def elsewhere(tmp_path: Path, server: PostgresServer) -> AsyncIterator[Elsewhere]:
    downstream = Downstream()
    await downstream.start()
    world = Elsewhere(tmp_path, downstream)
    world.dsn = server.dsn(server.database())
    await world.start()
    yield world
    await world.stop()
    await downstream.stop()


async def test_no_table_holds_a_word_and_an_erased_key_is_gone(elsewhere: Elsewhere) -> None:
    await elsewhere.create()
    ids = await busy(elsewhere)
    stored = await elsewhere.stored()
    assert not any(word in stored for word in WORDS)
    assert (await elsewhere.client.run(ids["done"])).result["secret"] == SECRET
    (key,) = (await elsewhere.service._keeper.reader.namespace_keys(0, 10)).keys
    assert key.wrapped in stored
    await elsewhere.erase()

    async def blocked() -> bool:
        return all(row.mode is Mode.BLOCKED for row in await elsewhere.rows() if row.outcome is None)

    await elsewhere.until(blocked)
    stored = await elsewhere.stored()
    assert not any(word in stored for word in (*WORDS, key.wrapped))
    assert (await elsewhere.client.run(ids["done"])).error["code"] == "payload_erased"
    assert await chain_holds(elsewhere)
