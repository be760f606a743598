"""``rco serve`` as a process of its own, and a sender beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any, Self

import msgspec

from bench.app import LEDGER
from bench.load import Load
from bench.signing import SECRET
from rco.measure.ports import free_port
from rco.measure.scratch import Place

__all__ = ["LIMITS", "PATH", "Service", "count_rows", "fetch", "send"]

_ROOT = Path(__file__).parent.parent
PATH = "/webhooks/shop"
LIMITS = {"max_rps": 1_000_000, "burst_rps": 1_000_000}
"""The token bucket is on, and wide enough not to be what is measured."""


class Service:
    """``async with Service(folder, place) as service``: started and ready. Several may serve one PostgreSQL; each has a
    folder of its own."""

    def __init__(
        self,
        folder: Path,
        place: Place,
        ledger: Path | None = None,
        store: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
        versions: tuple[str, ...] = (),
    ) -> None:
        """``store`` are settings of the store beside its path, ``more`` those of other sections. ``versions``: the
        application under these names, the first of which is the current one."""
        self._versions = versions
        folder.mkdir(exist_ok=True)
        self._folder, self.place, self._store, self._more = folder, place, store or {}, more or {}
        self.ledger = ledger or folder / "ledger"
        self.port, self.metrics_port = free_port(), free_port()
        self._process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def begin(self) -> None:
        """Start the process and wait until ``/readyz`` says 200. Raises ``RuntimeError`` when it ends instead."""
        config = self._folder / "bench.yaml"
        settings: dict[str, Any] = {
            "app": str(_ROOT / "bench" / "app.py"),
            "data_dir": str(self._folder / "data"),
            "store": {"path": self.place.where, **self._store},
            "server": {"bind_addr": f"127.0.0.1:{self.port}", "metrics_addr": f"127.0.0.1:{self.metrics_port}"},
            "limits": LIMITS,
            # How fast it is is asked, not when it would rather refuse.
            "brownout": {"enabled": False},
            "providers": {
                "shop": {
                    "kind": "standard-webhooks",
                    "secrets": [{"secret_id": "bench", "ref": "env:BENCH_SECRET"}],
                }
            },
            **self._more,
        }
        if self._versions:
            settings["apps"] = dict.fromkeys(self._versions, settings.pop("app"))
            settings["app_version"] = self._versions[0]
        # JSON is YAML.
        config.write_bytes(msgspec.json.encode(settings))
        log = os.open(self._folder / "service.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rco", "serve", "--config", str(config)),
                stdout=log,
                stderr=log,
                cwd=_ROOT,
                env={**os.environ, "BENCH_SECRET": SECRET, LEDGER: str(self.ledger)},
            )
        finally:
            os.close(log)
        while not await _ready(self.port):
            if self._process.returncode is not None:
                raise RuntimeError(f"the service did not start: {(self._folder / 'service.log').read_text()[-2000:]}")
            await asyncio.sleep(0.002)

    async def kill(self) -> None:
        """``kill -9``: whatever it was doing."""
        self._process.kill()
        await self._process.wait()

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()

    async def rows(self, sql: str) -> list[Any]:
        """See ``fetch``."""
        return await fetch(self.place, sql)

    async def count(self, what: str) -> int:
        """See ``count_rows``."""
        return await count_rows(self.place, what)

    async def until(self, what: str, count: int, within_s: float = 60.0) -> None:
        """Wait until there are ``count`` rows of ``what``. Raises ``TimeoutError`` when that takes longer."""
        async with asyncio.timeout(within_s):
            while await self.count(what) != count:
                await asyncio.sleep(0.02)


async def count_rows(place: Place, what: str) -> int:
    """How many rows of ``what`` (a table, or a table with a condition) are committed now."""
    return int((await fetch(place, f"SELECT count(*) FROM {what}"))[0][0])


async def fetch(place: Place, sql: str) -> list[Any]:
    """The rows of one statement, on a connection of its own."""
    if place.store == "sqlite":
        return await asyncio.to_thread(_fetch_sqlite, place.where, sql)
    import asyncpg

    connection = await asyncpg.connect(place.where)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


def _fetch_sqlite(path: str, sql: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def send(port: int, *, type: str, prefix: str, connections: int, count: int) -> Load:
    """What a sender in a process of its own finds. Raises ``RuntimeError`` with its words when it fails."""
    sender = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load", str(port), PATH, type, prefix, str(connections), str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=64 << 20,
        cwd=_ROOT,
    )
    assert sender.stdin is not None
    assert sender.stdout is not None
    await sender.stdout.readline()
    out, err = await sender.communicate(b"go\n")
    if sender.returncode:
        raise RuntimeError(f"the sender failed: {err.decode()[-2000:]}")
    return msgspec.json.decode(out, type=Load)


async def _ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()
