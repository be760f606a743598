"""Celery with Redis: a chain of tasks for a run. It remembers no steps; a lost task is delivered again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.contract import Counts, Engine, Peer, Place
from bench.peers.environments import debian, venv
from bench.peers.processes import end, free_port, spawn, until

__all__ = ["PEERS", "engine"]

_ROOT = Path(__file__).parents[2]
_LIBRARIES = ("redis-tools", "libjemalloc2", "liblzf1", "liblua5.1-0", "lua-cjson", "lua-bitop", "libhiredis0.14")
_AOF = {"celery": ("yes", "always"), "celery-memory": ("no", "no")}
_VISIBILITY_S = 5
"""After how long an unacknowledged task is delivered again; the default is 3600 s."""


def _prepare(cache: Path) -> tuple[str, dict[str, str]]:
    return venv(cache, "celery"), {"redis-server": debian(cache, "redis-server", "redis-server", _LIBRARIES)}


_peer = partial(
    Peer,
    kind="queue",
    installed="PyPI; redis-server from Debian",
    prepare=_prepare,
    packages=("celery", "redis"),
    recoveries=1,
    counts=Counts(runs=200, alone=30, waits=300),
)
PEERS = (
    _peer(
        name="celery",
        text="Celery, Redis AOF always",
        durability="Redis appendfsync=always; no memory of steps, tasks acknowledged late",
    ),
    _peer(
        name="celery-memory",
        text="Celery, Redis AOF off",
        durability="none: what is in Redis is lost with it; tasks acknowledged late",
        declines={"recovery": "asked with AOF always"},
    ),
)


class _Celery(Engine):
    apart = True

    async def start(self) -> None:
        self._worker: subprocess.Popen[bytes] | None = None
        self._redis: subprocess.Popen[bytes] | None = None
        folder, port = Path(self.place.folder), free_port()
        only, fsync = _AOF[self.place.peer]
        command = [
            *(self.place.tools["redis-server"], "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", only, "--appendfsync", fsync),
        ]
        self._redis = spawn(command, log=folder / "redis.log")
        os.environ |= {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0", "BENCH_EFFECTS": str(self.place.effects)}
        os.environ["BENCH_VISIBILITY_S"] = str(_VISIBILITY_S)
        import redis

        from bench.peers import celery_tasks

        self._tasks, self._store = celery_tasks, redis.Redis(port=port)

        def answers() -> bool:
            try:
                return bool(self._store.ping())
            except redis.RedisError:
                return False

        await until(answers, "Redis", process=self._redis)
        await self.again()
        await asyncio.to_thread(self._tasks.work.apply_async((None, 0)).get, timeout=60)

    async def again(self) -> None:
        command = [
            *(
                f"{self.place.binaries}/celery",
                "-A",
                "bench.peers.celery_tasks",
                "worker",
                "-c",
                "2",
                "-P",
                "prefork",
            ),
            *("-l", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        env = {"C_FORCE_ROOT": "1", "PYTHONWARNINGS": "ignore"}
        self._worker = spawn(command, log=Path(self.place.folder) / "celery.log", cwd=_ROOT, env=env)

    async def kill(self) -> None:
        end(self._worker)

    async def stop(self) -> None:
        end(self._worker)
        end(self._redis, signal.SIGTERM)

    def _chain(self, steps: int) -> str:
        from celery import chain

        work = self._tasks.work
        first = work.s(None, 0)
        return str((chain(first, *(work.s(n) for n in range(1, steps))) if steps > 1 else first).apply_async().id)

    async def run(self, steps: int) -> None:
        from celery import chain

        work = self._tasks.work
        first = work.s(None, 0)
        result = (chain(first, *(work.s(n) for n in range(1, steps))) if steps > 1 else first).apply_async()
        # Its own way of waiting, on this thread: nothing else happens here meanwhile.
        result.get(timeout=30)

    async def many(self, runs: int, at_a_time: int, steps: int) -> None:
        if at_a_time == 1:
            await super().many(runs, 1, steps)
            return
        waiting: set[str] = set()
        begun = ended = 0
        while ended < runs:
            while len(waiting) < at_a_time and begun < runs:
                waiting.add(self._chain(steps))
                begun += 1
            every = list(waiting)
            found = self._store.mget([f"celery-task-meta-{one}" for one in every])
            done = [one for one, value in zip(every, found, strict=True) if value is not None]
            waiting.difference_update(done)
            ended += len(done)
            if not done:
                await asyncio.sleep(0.002)

    async def naps(self, count: int, seconds: float) -> list[float]:
        wake = self._tasks.wake
        results = [wake.apply_async((time.time() + seconds,), countdown=seconds) for _ in range(count)]
        return [float(result.get(timeout=60)) for result in results]

    async def begin(self, runs: int) -> None:
        from celery import chain

        effect = self._tasks.effect
        for run in range(runs):
            chain(effect.s(None, run, 0), *(effect.s(run, step) for step in range(1, 10))).apply_async()

    def settings(self) -> dict[str, Any]:
        only, fsync = _AOF[self.place.peer]
        return {
            "appendonly": only,
            "appendfsync": fsync,
            "pool": "prefork, 2 processes",
            "visibility_timeout_s": _VISIBILITY_S,
        }


def engine(place: Place) -> Engine:
    return _Celery(place)
