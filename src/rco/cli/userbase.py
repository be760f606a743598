"""Finding a user's own database for a command, and running a script in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rco.cli.config_file import config_file
from rco.cli.output import print_answer, print_json
from rco.datasource.options import Database
from rco.errors import ConfigInvalid, NotFound, Unreachable
from rco.store.address import without_password

__all__ = ["UserBase", "apply", "find_database", "on", "put"]


@dataclass(frozen=True)
class UserBase:
    """A database of the user's; ``shown`` holds no password."""

    dsn: str
    shown: str
    database: Database


def find_database(text: str, config: Path | None) -> UserBase:
    """What ``text`` names: a declared database, a reference, or an address. Raises ``NotFound``, ``ConfigInvalid``."""
    from rco.config import Secrets, load

    secrets = Secrets(os.environ)
    if text.startswith(("postgresql://", "postgres://")):
        return UserBase(text, without_password(text), Database(name="given", dsn="env:GIVEN"))
    if text.startswith(("env:", "file:/")):
        return UserBase(secrets(text), text, Database(name="given", dsn=text))
    databases = load(config_file(config), os.environ, {}).settings.databases
    found = databases.get(text)
    if found is None:
        known = ", ".join(sorted(databases)) or "none"
        raise NotFound(f"no database {text!r} is declared.", cure=f"Declare it under databases (known: {known}).")
    return UserBase(secrets(found.dsn), text, found)


def on(base: UserBase, work: Any) -> Any:
    """What ``await work(connection)`` gives. Raises ``Unreachable`` and, for what the database refuses,
    ``ConfigInvalid``."""
    import asyncio

    from rco.store.opening import need_postgres

    need_postgres()
    from rco.datasource import connection as door

    async def run() -> Any:
        try:
            connection = await door.connect(base.dsn, msgspec.structs.replace(base.database, connect_timeout_s=10.0))
        except Exception as problem:  # noqa: BLE001 - whatever it is, there is no connection
            raise Unreachable(f"{base.shown}: {problem}.", cure="Look at the server and the address.") from None
        try:
            return await work(connection)
        except Exception as problem:
            if door.state_of(problem):
                raise ConfigInvalid(
                    f"{base.shown}: the database says: {problem}", cure="Use a role that may do it."
                ) from None
            raise
        finally:
            await connection.close()

    return asyncio.run(run())


def apply(base: UserBase, script: str) -> None:
    """Run ``script`` in one transaction."""

    async def work(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute(script)

    on(base, work)


def put(script: str, database: str, config: Path | None, there: str, *, print_only: bool, json: bool) -> None:
    """Run ``script`` in what ``database`` names and say that ``there`` is there; or only print it, and connect to
    nothing."""
    if print_only:
        print_json({"sql": script}) if json else print(script, end="")
        return
    found = find_database(database, config)
    apply(found, script)
    print_answer({"database": found.shown, "applied": True}, f"{found.shown}: {there}", json=json)
