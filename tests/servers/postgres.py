"""A PostgreSQL of our own: started as an ordinary user from the machine's binaries, fsync and all, gone afterwards."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from tests.servers.mould import restored, taken

from rco.measure.ports import free_port
from rco.store.postgres import migrate

T = TypeVar("T")
OLDEST = 15
_NEED = Path(__file__).parents[2] / "scripts" / "need-postgres"


def binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``, installed when it is missing and that is possible."""
    found = _find()
    if found is None:
        subprocess.run([str(_NEED)], check=True, timeout=600)
        found = _find()
    assert found is not None, "PostgreSQL 15 or newer is missing: see scripts/need-postgres"
    return found


def _find() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
            version = re.search(r"(\d+)", said.stdout)
            if version and int(version[1]) >= OLDEST:
                return folder
    return None


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop of its own, whatever runs here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class PostgresServer:
    """One server, in a new folder within ``parent`` or the usual place. ``stop_now`` and ``start`` make it crash and
    come back."""

    def __init__(self, *settings: str, parent: Path | None = None) -> None:
        """``settings`` are more of its own, as ``name=value``."""
        self._settings = settings
        self._bin = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="rco-pg-", dir=parent))
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            # It refuses to run as root, and rightly so.
            names = {entry.pw_name for entry in pwd.getpwall()}
            entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self.port = free_port()
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._run("initdb", "-D", str(self._data), "-U", "rco", "-A", "trust", "-E", "UTF8", "--no-sync", "-N")
        self.start()
        self.query("postgres", "CREATE DATABASE rco_template")
        apart(migrate.up(self.dsn("rco_template")))
        self._mould = apart(self._with("rco_template", taken))
        self._made: set[str] = set()
        self._free: list[str] = []

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / name), *arguments], capture_output=True, text=True, check=False, cwd="/", **self._user
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self.folder),
                    "-h", "127.0.0.1", "-p", str(self.port),
                    "-c", "max_connections=200", "-c", "shared_buffers=128MB",
                    *(part for setting in self._settings for part in ("-c", setting)),
                ],
                stdout=log, stderr=log, cwd="/", **self._user,
            )  # fmt: skip
        until = time.monotonic() + 60
        while True:
            try:
                self.query("postgres", "SELECT 1")
            except (OSError, asyncpg.PostgresError):
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until, "PostgreSQL does not answer"
                time.sleep(0.05)
            else:
                return

    def stop_now(self) -> None:
        """As pg_ctl -m immediate: no checkpoint, recovery at the next start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def copy(self) -> None:
        """Keep a copy of everything there is, while it is stopped. Only the newest copy is kept."""
        self._replace(self._data, self.folder / "copy")

    def put_back(self) -> None:
        """Put the copy in the place of everything there is, while it is stopped."""
        self._replace(self.folder / "copy", self._data)
        # What was clean since is not, or not there.
        self._free.clear()

    def _replace(self, source: Path, place: Path) -> None:
        assert self._process is None or self._process.poll() is not None, "stop it first"
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["cp", "-a", str(source), str(place)], check=True)

    def stop(self) -> None:
        """End it and remove everything."""
        if self._process is not None and self._process.poll() is None:
            self.stop_now()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, database: str, port: int | None = None) -> str:
        return f"postgresql://rco@127.0.0.1:{port or self.port}/{database}"

    def query(self, database: str, sql: str, *values: Any) -> list[Any]:
        """The rows of one statement, on a connection of its own."""

        async def ask(connection: asyncpg.Connection) -> list[Any]:
            return list(await connection.fetch(sql, *values))

        return apart(self._with(database, ask))

    async def _with(self, database: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        connection = await asyncpg.connect(self.dsn(database))
        try:
            return await work(connection)
        finally:
            await connection.close()

    def run_script(self, database: str, script: str) -> None:
        """Several statements in one transaction."""
        apart(self._with(database, lambda connection: connection.execute(script)))

    def database(self) -> str:
        """A database with the schema in it and nothing more: a new one, or one that was given back as it was."""
        if self._free:
            return self._free.pop()
        name = f"t{next(self._numbers)}"
        self.query("postgres", f"CREATE DATABASE {name} TEMPLATE rco_template")
        self._made.add(name)
        return name

    def drop(self, name: str) -> None:
        """Whoever is connected to it is thrown out, and nothing that it holds is seen again."""
        if name in self._made and name not in self._free and self._restored(name):
            self._free.append(name)
            return
        self._made.discard(name)
        self.query("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _restored(self, name: str) -> bool:
        try:
            return apart(self._with(name, lambda connection: restored(connection, self._mould)))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # Whatever was done to it: it is not what it was.
            return False
