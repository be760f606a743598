"""Restate: a server with its own log, and a service that it calls. Asked over its HTTP ingress, as its users do."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.contract import Counts, Engine, Peer, Place
from bench.peers.environments import npm, venv
from bench.peers.processes import end, free_port, spawn, until

__all__ = ["PEERS", "engine"]

_ROOT = Path(__file__).parents[2]
_PARTITIONS = {"restate": 24, "restate-tuned": 4}


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    server = npm(cache, "restate", "@restatedev/restate-server-linux-x64/bin/restate-server")
    return venv(cache, "restate"), {"restate-server": server}


_peer = partial(
    Peer,
    kind="durable",
    durability="RocksDB log, flushed to disk by group commit (rocksdb-disable-wal-fsync=false, its default); one node",
    installed="server from npm, SDK from PyPI",
    prepare=_prepare,
    packages=("restate-sdk", "granian"),
    counts=Counts(runs=1_000, alone=100, waits=300),
)
PEERS = (
    _peer(name="restate-tuned", text="Restate, 4 partitions"),
    _peer(name="restate", text="Restate, 24 partitions (default)", rounds_max=1),
)


class _Restate(Engine):
    apart = True

    async def start(self) -> None:
        import aiohttp

        self._server: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None
        self._ingress, self._admin, self._port, node = (free_port() for _ in range(4))
        folder = Path(self.place.folder)
        env = {
            "RESTATE_BASE_DIR": str(folder / "restate"),
            "RESTATE_DEFAULT_NUM_PARTITIONS": str(_PARTITIONS[self.place.peer]),
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}/",
            "RESTATE_NODE_NAME": "bench",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self._ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self._admin}",
            "RUST_LOG": "warn",
        }
        server = self._server = spawn(
            [self.place.tools["restate-server"]], log=folder / "restate-server.log", cwd=folder, env=env
        )
        await self.again()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=100)
        )
        healthy = partial(_says_200, f"http://127.0.0.1:{self._admin}/health")
        await until(healthy, "the server's health", process=server, limit_s=60)
        deployment = json.dumps({"uri": f"http://127.0.0.1:{self._port}/"}).encode()
        registered = partial(_says_200, f"http://127.0.0.1:{self._admin}/deployments", deployment)
        await until(registered, "the registration of the service", process=server, limit_s=60)
        while True:
            try:
                await self.run(1)
            except (AssertionError, aiohttp.ClientError):
                await asyncio.sleep(0.1)
            else:
                break

    async def again(self) -> None:
        command = [
            *(f"{self.place.binaries}/granian", "--interface", "asginl", "--http", "2", "--no-ws", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self._port), "--loop", "uvloop", "--log-level", "warning"),
            "bench.peers.restate_service:app",
        ]
        folder = Path(self.place.folder)
        env = {"BENCH_EFFECTS": str(self.place.effects)}
        self._service = spawn(command, log=folder / "restate-service.log", cwd=_ROOT, env=env)

    async def kill(self) -> None:
        end(self._service)

    async def stop(self) -> None:
        if hasattr(self, "_session"):
            await self._session.close()
        end(self._service)
        end(self._server)

    async def _call(self, handler: str, given: Any) -> Any:
        async with self._session.post(f"http://127.0.0.1:{self._ingress}/Bench/{handler}", json=given) as response:
            said = await response.read()
            if response.status not in (200, 202):
                raise AssertionError(f"the ingress said {response.status}: {said[:200]!r}")
            return json.loads(said)

    async def run(self, steps: int) -> None:
        if await self._call("steps", steps) != steps:
            raise AssertionError("a workflow gave another result")

    async def nap(self, seconds: float) -> float:
        return float(await self._call("nap", seconds))

    async def begin(self, runs: int) -> None:
        await asyncio.gather(*(self._call("crashed/send", run) for run in range(runs)))

    def settings(self) -> dict[str, Any]:
        return {"partitions": _PARTITIONS[self.place.peer], "service": "granian, HTTP/2, one worker"}


def _says_200(url: str, body: bytes | None = None) -> bool:
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return 200 <= response.status < 300
    except OSError:
        return False


def engine(place: Place) -> Engine:
    return _Restate(place)
