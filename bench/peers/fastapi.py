"""What a team writes today to receive webhooks: FastAPI, asyncpg, one commit for each request."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.contract import Counts, Engine, Peer, Place
from bench.peers.environments import venv
from bench.peers.processes import spawn
from bench.signing import SECRET

__all__ = ["PEERS", "engine"]

_ROOT = Path(__file__).parents[2]


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "fastapi"), {}


_peer = partial(
    Peer,
    kind="ingest",
    durability="a commit for each request: synchronous_commit=on, fsync=on",
    installed="PyPI",
    prepare=_prepare,
    packages=("fastapi", "asyncpg", "uvicorn", "granian", "standardwebhooks"),
    counts=Counts(requests=12_000),
    needs_postgres=True,
)
PEERS = (
    _peer(name="fastapi", text="FastAPI + asyncpg, 1 worker: verifies, stores"),
    _peer(name="fastapi-two", text="FastAPI + asyncpg, 2 workers: verifies, stores"),
    _peer(name="fastapi-unverified", text="FastAPI + asyncpg, 1 worker: stores, verifies nothing"),
)


class _FastApi(Engine):
    def _workers(self) -> str:
        return "2" if self.place.peer == "fastapi-two" else "1"

    async def receive(self, port: int) -> subprocess.Popen[bytes]:
        env = {
            "BENCH_POSTGRES": self.place.postgres,
            "BENCH_SECRET": "" if self.place.peer == "fastapi-unverified" else SECRET,
        }
        command = [
            *(f"{self.place.binaries}/uvicorn", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
            *("--no-access-log", "--workers", self._workers(), "bench.peers.fastapi_app:app"),
        ]
        return spawn(command, log=Path(self.place.folder) / "fastapi.log", cwd=_ROOT, env=env)

    async def accepted(self) -> int:
        import asyncpg

        connection = await asyncpg.connect(self.place.postgres)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM event"))
        finally:
            await connection.close()

    def settings(self) -> dict[str, Any]:
        return {
            "server": "uvicorn with uvloop and httptools",
            "workers": self._workers(),
            "pool": "10 a worker",
            "each": "one INSERT, one commit, answered 202",
        }


def engine(place: Place) -> Engine:
    return _FastApi(place)
