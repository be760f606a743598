"""A database to measure with, beside the one that matters and never in it: made, migrated, and gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from rco.errors import StoreError
from rco.kit.ids import Ids
from rco.measure.machine import existing
from rco.store.opening import is_postgres, migrate_up

__all__ = ["Place", "scratch"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A migrated, empty database. ``kind``: ``file``, ``database`` or ``schema``. ``server_pid`` is that of the first
    process of a PostgreSQL server on this machine, 0 when it runs elsewhere or is none."""

    where: str
    kind: str
    name: str
    server_pid: int = 0
    facts: dict[str, Any] = {}

    @property
    def store(self) -> str:
        return "postgresql" if is_postgres(self.where) else "sqlite"

    @property
    def folder(self) -> Path:
        """Of a file."""
        return Path(self.where).parent


@contextlib.asynccontextmanager
async def scratch(where: str, template: str = "") -> AsyncIterator[Place]:
    """An empty database beside ``where``.

    SQLite: a file in a new folder beside the file ``where`` (above it, where that folder is missing), so on its disk.
    PostgreSQL: a new database on the same server, or, where the role may not make databases, a new schema in the same
    one; nothing that was there is read or written. Either is removed at the end, also after an error. ``template``
    names a database of the server that holds nothing but the schema, to be copied. Raises ``StoreError`` when neither
    can be made.
    """
    if not is_postgres(where):
        folder = await asyncio.to_thread(_folder, Path(where))
        try:
            place = Place(where=str(folder / "rco.db"), kind="file", name=str(folder))
            await migrate_up(place.where)
            yield place
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    import asyncpg

    try:
        connection = await asyncpg.connect(where)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        raise StoreError(f"PostgreSQL cannot be reached: {problem}.", cure="Look at the dsn and the server.") from None
    name = f"rco_bench_{Ids().token(6)}"
    made = ""
    try:
        made, place = await _made(connection, where, name, template)
        await migrate_up(place.where)
        yield place
    finally:
        try:
            if made == "database":
                await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            elif made == "schema":
                await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        finally:
            await connection.close()


def _folder(beside: Path) -> Path:
    parent = existing(beside)
    try:
        return Path(tempfile.mkdtemp(prefix="rco-bench-", dir=parent))
    except OSError as problem:
        raise StoreError(
            f"{parent} cannot hold a scratch database: {problem.strerror}.",
            cure="Name a store in a folder that exists and may be written: --store PATH.",
        ) from None


async def _made(connection: Any, where: str, name: str, template: str) -> tuple[str, Place]:
    import asyncpg

    pid = _server_pid(await connection.fetchval("SELECT pg_backend_pid()"), connection)
    facts = {"postgresql": await connection.fetchval("SHOW server_version")}
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        facts[setting] = await connection.fetchval("SELECT current_setting($1)", setting)
    try:
        await connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        kind, place = "database", _with_database(where, name)
    except asyncpg.InsufficientPrivilegeError:
        try:
            await connection.execute(f"CREATE SCHEMA {name}")
        except asyncpg.InsufficientPrivilegeError:
            raise StoreError(
                "This role may make neither a database nor a schema to measure in.",
                cure="GRANT CREATE ON DATABASE ... TO the role, or measure with another role.",
            ) from None
        kind, place = "schema", _with_option(where, "search_path", name)
    return kind, Place(where=place, kind=kind, name=name, server_pid=pid, facts=facts)


def _with_database(where: str, name: str) -> str:
    """The address with another database; what else it says stays."""
    parts = urlsplit(where)
    options = [(key, value) for key, value in parse_qsl(parts.query) if key not in ("dbname", "database")]
    return urlunsplit(parts._replace(path=f"/{name}", query=urlencode(options)))


def _with_option(where: str, key: str, value: str) -> str:
    parts = urlsplit(where)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), (key, value)])))


def _server_pid(backend: int, connection: Any) -> int:
    """The first process of the server, when it is one of this machine's that may be looked at; else 0."""
    # They differ behind a pooler, and a server elsewhere may well have the number of one of our processes.
    if connection.get_server_pid() != backend:
        return 0
    try:
        status = Path(f"/proc/{backend}/status").read_text()
        if not status.startswith("Name:\tpostgres\n"):
            return 0
        fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
        parent = int(fields[1])
    except (OSError, ValueError):
        return 0
    return parent
