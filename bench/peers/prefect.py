"""Prefect: a server over SQLite, flows called in a process beside it, results persisted."""

from __future__ import annotations

import logging
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from bench.peers.contract import NOTE, Counts, Engine, Peer, Place
from bench.peers.environments import venv
from bench.peers.processes import end, free_port, spawn, until

__all__ = ["PEERS", "engine"]


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "prefect"), {}


PEERS = (
    Peer(
        name="prefect",
        text="Prefect, 4 at a time",
        kind="durable",
        durability="states in the server's SQLite file, results as files; its flushes were not looked at",
        installed="PyPI",
        prepare=_prepare,
        packages=("prefect", "sqlalchemy"),
        # A hundred at once of these did not end within minutes; four is its better case.
        counts=Counts(runs=8, at_a_time=4, alone=3, waits=20),
        declines={
            "timers": "it has no durable sleep",
            "recovery": "a flow that was called in a process has no owner after a kill",
        },
        rounds_max=1,
    ),
)


class _Prefect(Engine):
    async def start(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        folder, port = Path(self.place.folder), free_port()
        os.environ |= {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
        }
        command = [f"{self.place.binaries}/prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        self._server = spawn(command, log=folder / "prefect.log")

        def healthy() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as response:
                    return bool(response.status == 200)
            except OSError:
                return False

        await until(healthy, "the server's health", limit_s=90, process=self._server)
        from prefect import flow, task

        logging.getLogger("prefect").setLevel(logging.ERROR)

        @task(persist_result=True)
        async def work(number: int) -> dict[str, Any]:
            return {"number": number, "ok": True, "note": NOTE}

        @flow(persist_result=True)
        async def steps(count: int) -> int:
            for number in range(count):
                await work(number)
            return count

        self._steps = steps

    async def stop(self) -> None:
        end(self._server)

    async def run(self, steps: int) -> None:
        if await self._steps(steps) != steps:
            raise AssertionError("a flow gave another result")

    def settings(self) -> dict[str, Any]:
        return {"persist_result": True, "logs_to_server": False}


def engine(place: Place) -> Engine:
    return _Prefect(place)
