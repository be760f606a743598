"""The databases of the tests: whatever one of them did, the next begins with what the migrations make."""

from __future__ import annotations

import re

import asyncpg
import pytest
from tests.servers.mould import Mould, taken
from tests.servers.postgres import PostgresServer, apart

ROWS = """
UPDATE lease SET epoch = 7, owner = 'somebody';
DELETE FROM namespace;
INSERT INTO claim (digest, corr_id, expires_us) SELECT sha256(n::text::bytea), '', 1 FROM generate_series(1, 100) AS n;
CREATE TABLE journal_week PARTITION OF journal FOR VALUES FROM ('\\x0000') TO ('\\x0001');
SELECT nextval(oid::regclass) FROM pg_class WHERE relkind = 'S';
CREATE TABLE mine AS SELECT 1 AS one;
ANALYZE lease;
CREATE VIEW of_mine AS SELECT * FROM mine;
"""


MUCH = """
INSERT INTO claim (digest, corr_id, expires_us)
SELECT sha256(n::text::bytea), repeat('a', 1000), 1 FROM generate_series(1, 20000) AS n
"""


def _seen(server: PostgresServer, name: str) -> Mould:
    async def look(connection: asyncpg.Connection) -> Mould:
        return await taken(connection)

    return apart(server._with(name, look))


def _rows(mould: Mould) -> list[str]:
    """In no order, which is the heap's affair."""
    return sorted(re.split(r"[\[\]]|, \n ", mould.clear))


async def test_rows_tables_and_positions_of_sequences_are_as_they_were(postgres_server: PostgresServer) -> None:
    name = postgres_server.database()
    as_made = _seen(postgres_server, name)
    left = await asyncpg.connect(postgres_server.dsn(name))
    postgres_server.run_script(name, ROWS)
    assert _seen(postgres_server, name).clear != as_made.clear
    postgres_server.drop(name)
    # The same, and not a new one: that is what it is for.
    assert postgres_server.database() == name
    found = _seen(postgres_server, name)
    assert postgres_server.query(name, "SELECT 1 FROM pg_stats WHERE tablename = 'lease'") == []
    assert (found.shape, found.tables, _rows(found)) == (as_made.shape, as_made.tables, _rows(as_made))
    postgres_server.drop(name)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await left.fetch("SELECT 1")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE lease ADD COLUMN mine int",
        "ALTER TABLE claim ALTER COLUMN corr_id DROP NOT NULL",
        "DROP TABLE namespace CASCADE",
        "CREATE INDEX mine ON lease (owner)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION rco_flush",
        "ALTER TABLE closed_run DISABLE TRIGGER run_attribute_gone",
        "CREATE SCHEMA mine",
        "CREATE SEQUENCE mine",
        "CREATE TYPE mine AS ENUM ('one')",
        "GRANT SELECT ON run TO PUBLIC",
        MUCH,
        "ALTER DATABASE {name} SET synchronous_commit = off",
        "ALTER DATABASE {name} CONNECTION LIMIT 5",
    ],
)
def test_one_that_was_changed_otherwise_is_not_seen_again(postgres_server: PostgresServer, change: str) -> None:
    name = postgres_server.database()
    postgres_server.query(name, change.format(name=name))
    postgres_server.drop(name)
    assert name not in postgres_server._free
    assert not postgres_server.query("postgres", "SELECT 1 FROM pg_database WHERE datname = $1", name)
