"""Absurd: durable tasks in PostgreSQL alone. Four workers in one process; the queue is what bounds how many run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.peers.contract import NOTE, Counts, Engine, Peer, Place
from bench.peers.environments import venv

__all__ = ["PEERS", "engine"]

_WORKERS = 4
_POLL_S = 0.01
"""Its default of 0.25 s would be all that its latency tells of."""
_CLAIM_S = 5
"""How long a claim outlives its worker; its default is 120 s."""


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "absurd"), {}


PEERS = (
    Peer(
        name="absurd",
        text="Absurd on PostgreSQL",
        kind="durable",
        durability="a commit for each step: synchronous_commit=on, fsync=on",
        installed="PyPI",
        prepare=_prepare,
        packages=("absurd-sdk", "psycopg"),
        counts=Counts(runs=500, alone=30, waits=200),
        needs_postgres=True,
    ),
)


class _Absurd(Engine):
    async def start(self) -> None:
        import psycopg

        env = {**os.environ, "ABSURD_DATABASE_URL": self.place.postgres}
        if not (Path(self.place.folder) / "schema").exists():
            for words in (("init",), ("create-queue", "default")):
                command = [f"{self.place.binaries}/absurdctl", *words]
                await asyncio.to_thread(subprocess.run, command, env=env, check=True, capture_output=True)
            (Path(self.place.folder) / "schema").touch()
        self._clients = [self._client() for _ in range(_WORKERS)]
        self._workers = [self._client() for _ in range(_WORKERS)]
        self._watch = await psycopg.AsyncConnection.connect(self.place.postgres, autocommit=True)
        self._tasks = [
            asyncio.create_task(
                worker.start_worker(
                    worker_id=f"w{n}", concurrency=125, batch_size=25, poll_interval=_POLL_S, claim_timeout=_CLAIM_S
                )
            )
            for n, worker in enumerate(self._workers)
        ]

    def _client(self) -> Any:
        from absurd_sdk import AsyncAbsurd

        client, effects = AsyncAbsurd(self.place.postgres), self.place.effects

        @client.register_task(name="steps")
        async def steps(count: int, ctx: Any) -> int:
            for number in range(count):

                async def work(number: int = number) -> dict[str, Any]:
                    return {"number": number, "ok": True, "note": NOTE}

                await ctx.step(f"work{number}", work)
            return count

        @client.register_task(name="nap")
        async def nap(seconds: float, ctx: Any) -> float:
            async def now() -> float:
                return time.time()

            began = await ctx.step("began", now)
            await ctx.sleep_for("nap", seconds)
            return time.time() - float(began) - seconds

        @client.register_task(name="crashed")
        async def crashed(run: int, ctx: Any) -> int:
            for step in range(10):

                async def effect(step: int = step) -> int:
                    await asyncio.sleep(0.02)
                    with effects.open("a") as out:
                        out.write(f"{run} {step}\n")
                    return step

                await ctx.step(f"effect{step}", effect)
            return run

        return client

    async def stop(self) -> None:
        for task in getattr(self, "_tasks", []):
            task.cancel()
        await asyncio.gather(*getattr(self, "_tasks", []), return_exceptions=True)
        for client in (*getattr(self, "_clients", []), *getattr(self, "_workers", [])):
            await client.close()
        if hasattr(self, "_watch"):
            await self._watch.close()

    async def _spawned(self, task: str, values: list[Any]) -> list[str]:
        """Enqueue on several connections at once."""

        async def some(client: Any, part: list[Any]) -> list[str]:
            return [str((await client.spawn(task, value))["task_id"]) for value in part]

        parts = [some(client, values[n :: len(self._clients)]) for n, client in enumerate(self._clients)]
        return [one for part in await asyncio.gather(*parts) for one in part]

    async def _done(self, tasks: list[str]) -> list[Any]:
        """The results of all; asks every 2 ms, more often than the SDK does."""
        while True:
            rows = await (
                await self._watch.execute(
                    "SELECT state, completed_payload FROM absurd.t_default WHERE task_id = ANY(%s::uuid[])"
                    " AND state IN ('completed', 'failed', 'cancelled')",
                    (tasks,),
                )
            ).fetchall()
            if any(state != "completed" for state, _ in rows):
                raise AssertionError("a task failed")
            if len(rows) == len(tasks):
                return [value for _, value in rows]
            await asyncio.sleep(0.002 if len(tasks) == 1 else 0.02)

    async def run(self, steps: int) -> None:
        await self._done([str((await self._clients[0].spawn("steps", steps))["task_id"])])

    async def many(self, runs: int, at_a_time: int, steps: int) -> None:
        if at_a_time == 1:
            await super().many(runs, 1, steps)
        else:
            await self._done(await self._spawned("steps", [steps] * runs))

    async def naps(self, count: int, seconds: float) -> list[float]:
        return [float(late) for late in await self._done(await self._spawned("nap", [seconds] * count))]

    async def begin(self, runs: int) -> None:
        await self._spawned("crashed", list(range(runs)))

    def settings(self) -> dict[str, Any]:
        return {"workers": _WORKERS, "poll_interval_s": _POLL_S, "claim_timeout_s": _CLAIM_S}


def engine(place: Place) -> Engine:
    return _Absurd(place)
