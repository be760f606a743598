"""Temporal's development server over a SQLite file, with a worker in the process that asks. A step is an activity."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.peers.contract import Counts, Engine, Peer, Place
from bench.peers.environments import go, venv
from bench.peers.processes import end, free_port, spawn, until

__all__ = ["PEERS", "engine"]


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "temporal"), {"temporal": go(cache, "temporal")}


PEERS = (
    Peer(
        name="temporal",
        text="Temporal, development server on SQLite",
        kind="durable",
        durability="rows in the development server's SQLite file: WAL, synchronous=FULL, set for it",
        installed="server built from its Go module, SDK from PyPI",
        prepare=_prepare,
        packages=("temporalio",),
        counts=Counts(runs=100, alone=10, waits=50),
        rounds_max=1,
    ),
)


class _Temporal(Engine):
    async def start(self) -> None:
        from temporalio.client import Client
        from temporalio.worker import UnsandboxedWorkflowRunner, Worker

        from bench.peers import temporal_flows

        temporal_flows.EFFECTS = str(self.place.effects)
        self._flows = temporal_flows
        noted = Path(self.place.folder) / "temporal.port"
        if not noted.exists():
            await self.ground()
        port = int(noted.read_text())
        while True:
            try:
                self._client = await Client.connect(f"127.0.0.1:{port}")
            except RuntimeError:
                await asyncio.sleep(0.1)
            else:
                break
        self._worker = Worker(
            self._client,
            task_queue="bench",
            workflows=temporal_flows.WORKFLOWS,
            activities=temporal_flows.ACTIVITIES,
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=500,
            max_concurrent_workflow_tasks=500,
        )
        self._task = asyncio.create_task(self._worker.run())
        self._next = 0
        if hasattr(self, "_server"):
            await self._until_it_runs()

    async def ground(self) -> None:
        folder, port = Path(self.place.folder), free_port()
        command = [
            *(self.place.tools["temporal"], "server", "start-dev", "--headless", "--ip", "127.0.0.1"),
            *("--port", str(port), "--db-filename", str(folder / "temporal.db"), "--log-level", "error"),
            *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"),
        ]
        server = self._server = spawn(command, log=folder / "temporal.log", cwd=folder)
        await until(lambda: _listens(port), "the server", process=server)
        (folder / "temporal.port").write_text(str(port))

    async def _until_it_runs(self) -> None:
        for attempt in range(20):
            try:
                await self.run(1)
            except Exception:
                if attempt == 19:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    async def stop(self) -> None:
        if hasattr(self, "_task"):
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        end(getattr(self, "_server", None))

    async def _ask(self, workflow: Any, given: Any) -> Any:
        self._next += 1
        identity = f"{workflow.__name__}-{self._next}"
        return await self._client.execute_workflow(
            workflow.run, given, id=identity, task_queue="bench", execution_timeout=timedelta(seconds=100)
        )

    async def run(self, steps: int) -> None:
        if await self._ask(self._flows.Steps, steps) != steps:
            raise AssertionError("a workflow gave another result")

    async def nap(self, seconds: float) -> float:
        return float(await self._ask(self._flows.Nap, seconds))

    async def begin(self, runs: int) -> None:
        start, flow = self._client.start_workflow, self._flows.Crashed
        await asyncio.gather(*(start(flow.run, run, id=f"crashed-{run}", task_queue="bench") for run in range(runs)))

    def settings(self) -> dict[str, Any]:
        return {"steps": "activities", "workflow_sandbox": "off", "activity_timeout_s": 5}


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def engine(place: Place) -> Engine:
    return _Temporal(place)
