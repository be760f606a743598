"""The schema goes up and down, is checked at the start, and a server that may lose commits is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from rco.errors import SchemaOutdated, StoreError
from rco.store.migration import known
from rco.store.postgres import migrate


@pytest.fixture
def empty(postgres_server: Any) -> Iterator[str]:
    postgres_server.query("postgres", "CREATE DATABASE empty")
    yield postgres_server.dsn("empty")
    postgres_server.drop("empty")


async def test_up_and_down_and_up_again(empty: str, make_node: Any) -> None:
    versions = [one.version for one in known("postgres")]
    with pytest.raises(SchemaOutdated, match="rco migrate"):
        await make_node("early", dsn=empty).keeper.start()
    assert not any(one.applied for one in await migrate.status(empty))
    # Two at the same time do not stand in each other's way.
    first, second = await asyncio.gather(migrate.up(empty), migrate.up(empty))
    assert sorted(first + second) == versions
    assert await migrate.up(empty) == []
    for version in reversed(versions):
        assert await migrate.down(empty) == version
    assert await migrate.down(empty) is None
    assert await migrate.up(empty) == versions
    assert [one.applied for one in await migrate.status(empty)] == [True] * len(versions)
    node = make_node("a", dsn=empty)
    await node.keeper.start()
    await node.open(0)


async def test_the_way_back_is_refused_while_content_stands_nowhere_else(empty: str, postgres_server: Any) -> None:
    staged = "20261129160000"
    await migrate.up(empty)
    while max(one.version for one in await migrate.status(empty) if one.applied) > staged:
        await migrate.down(empty)
    postgres_server.query("empty", "INSERT INTO staged_object VALUES ('content/aa/bb', 1, '\\x00')")
    with pytest.raises((StoreError, asyncpg.PostgresError), match="content waits to be moved"):
        await migrate.down(empty)
    postgres_server.query("empty", "DELETE FROM staged_object")
    assert await migrate.down(empty) == staged
    assert staged in await migrate.up(empty)


async def test_a_newer_schema_is_not_guessed_at(make_node: Any, postgres_server: Any, postgres_database: str) -> None:
    postgres_server.query(postgres_database, "INSERT INTO schema_migrations VALUES ('99990101000000')")
    with pytest.raises(SchemaOutdated, match="newer than this code"):
        await make_node("a").keeper.start()
    with pytest.raises(SchemaOutdated):
        await migrate.up(postgres_server.dsn(postgres_database))


async def test_a_server_that_does_not_wait_for_its_disk_is_refused(
    make_node: Any, postgres_server: Any, postgres_database: str
) -> None:
    postgres_server.query("postgres", f"ALTER DATABASE {postgres_database} SET synchronous_commit = off")
    with pytest.raises(StoreError, match="synchronous_commit"):
        await make_node("a").keeper.start()


async def test_a_server_that_is_not_there_is_named(make_node: Any) -> None:
    import msgspec

    from rco.store.postgres import PostgresOptions

    hasty = msgspec.structs.replace(PostgresOptions(), connect_timeout_s=0.2)
    with pytest.raises(StoreError, match="PostgreSQL cannot be reached"):
        await make_node("a", hasty, "postgresql://rco@127.0.0.1:1/none").keeper.start()
