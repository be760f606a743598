"""What connections are told of types instead of asking is what the server would have said."""

from __future__ import annotations

import asyncpg
import pytest

from rco.store.postgres import PostgresOptions
from rco.store.postgres.connection import connect
from rco.store.postgres.known_types import KNOWN_ARRAYS, type_row


async def test_the_server_says_the_same(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        said, _ = await connection._introspect_types(list(KNOWN_ARRAYS), 10)
    finally:
        await connection.close()
    told = {row["oid"]: dict(row) for row in said if row["oid"] in KNOWN_ARRAYS}
    assert told == {oid: type_row(oid) for oid in KNOWN_ARRAYS}


@pytest.mark.parametrize("pooler", [False, True])
async def test_arrays_go_there_and_back_without_a_question(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, pooler: bool
) -> None:
    connection = await connect(postgres_dsn, PostgresOptions(pooler=pooler))
    asked: list[object] = []
    introspect = asyncpg.Connection._introspect_types

    async def watched(self: asyncpg.Connection, oids: object, timeout: object) -> object:
        asked.append(oids)
        return await introspect(self, oids, timeout)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", watched)
    try:
        given = ([True], [b"x"], [1], [2, None], [3], [0.5], ["t"])
        sql = "SELECT $1::bool[], $2::bytea[], $3::int2[], $4::int4[], $5::int8[], $6::float8[], $7::text[]"
        assert tuple((await connection.fetch(sql, *given))[0]) == given
        assert asked == []
        # A type that is not in the list is asked for, as ever.
        assert await connection.fetchval("SELECT ARRAY['1.5'::numeric]") is not None
        assert len(asked) == 1
    finally:
        await connection.close()
