"""What tests of several folders need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for the whole session."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a new database with the schema in it."""
    name = postgres_server.database()
    yield name
    postgres_server.drop(name)


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer, postgres_database: str) -> str:
    """The same as a dsn."""
    return postgres_server.dsn(postgres_database)
