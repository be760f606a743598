"""The questions, put to an engine. Runs in the peer's environment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.peers.contract import Answer, Counts, Engine, Place
from bench.peers.processes import end, free_port, spawn, tree_cpu_s, until

__all__ = ["STEPS", "SUITES", "ask", "recovery", "webhooks"]

STEPS = 10
CRASH_S = 100.0
_QUESTION_S = 120.0
_CONNECTIONS = 64
_ROOT = Path(__file__).parents[2]
SUITES = {"load": ("steps-100", "steps-1", "one-step", "timers"), "recovery": ("recovery",), "webhooks": ("webhooks",)}
"""Questions that share a process and a store; their order is that of the asking."""


async def _steps(engine: Engine, counts: Counts) -> tuple[int, list[float]]:
    await engine.many(counts.runs, counts.at_a_time, STEPS)
    return counts.runs * STEPS, []


async def _alone(engine: Engine, counts: Counts) -> tuple[int, list[float]]:
    await engine.many(counts.alone, 1, STEPS)
    return counts.alone * STEPS, []


async def _waits(engine: Engine, counts: Counts) -> tuple[int, list[float]]:
    waits_ms = []
    for _ in range(counts.waits):
        began = time.perf_counter()
        await engine.run(1)
        waits_ms.append((time.perf_counter() - began) * 1e3)
    return counts.waits, waits_ms


async def _timers(engine: Engine, counts: Counts) -> tuple[int, list[float]]:
    late = await engine.naps(counts.sleeps, 1.0)
    if len(late) != counts.sleeps:
        raise AssertionError(f"{len(late)} of {counts.sleeps} sleepers were heard of")
    return counts.sleeps, [one * 1e3 for one in late]


_ASKED: dict[str, Callable[[Engine, Counts], Awaitable[tuple[int, list[float]]]]] = {
    "steps-100": _steps,
    "steps-1": _alone,
    "one-step": _waits,
    "timers": _timers,
}


async def ask(engine: Engine, question: str, counts: Counts) -> Answer:
    """One question of a started engine. Raises what went wrong, ``TimeoutError`` after two minutes."""
    place = engine.place
    roots = [os.getpid(), *([place.postgres_pid] if place.postgres_pid else [])]
    try:
        return await asyncio.wait_for(_asked(engine, question, counts, roots), _QUESTION_S)
    except TimeoutError as problem:
        # The one of wait_for has no words of its own.
        raise TimeoutError(str(problem) or f"not within {_QUESTION_S:g} s") from None


async def _asked(engine: Engine, question: str, counts: Counts, roots: list[int]) -> Answer:
    if question == "steps-100":
        warm = min(counts.runs, counts.at_a_time)
        await engine.many(warm, counts.at_a_time, STEPS)
    elif question == "one-step":
        await engine.many(min(20, counts.waits), 1, 1)
    cpu, began = tree_cpu_s(roots), time.perf_counter()
    count, waits_ms = await _ASKED[question](engine, counts)
    took_s, cpu_s = time.perf_counter() - began, tree_cpu_s(roots) - cpu
    settings = {"at_a_time": counts.at_a_time} if question == "steps-100" else {}
    return Answer(question, count, took_s, cpu_s, waits_ms, {**settings, **engine.settings()})


async def webhooks(engine: Engine, counts: Counts) -> Answer:
    """A thousand bytes each, signed, on 64 connections. The CPU seconds are the receiver's and its database's."""
    place, port = engine.place, free_port()
    receiver = await engine.receive(port)
    roots = [receiver.pid, *([place.postgres_pid] if place.postgres_pid else [])]
    warm = max(_CONNECTIONS, counts.requests // 10)

    async def send(prefix: str, count: int) -> tuple[float, list[float]]:
        """By a process of the project's own environment, signed before the first is sent: seconds, and each wait."""
        command = [place.tools["sender"], "-m", "bench.load", str(port), "/webhooks/shop", "invoice.paid", prefix]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, str(_CONNECTIONS), str(count)],
            input=b"go\n",
            cwd=_ROOT,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the sender failed: {done.stderr.decode()[-300:]}")
        load = json.loads(done.stdout.partition(b"ready\n")[2])
        if load["statuses"] != {"202": count}:
            raise AssertionError(f"{count} were sent, the answers were {load['statuses']}")
        return load["took_s"], load["wait_ms"]

    async def all_of(count: int) -> None:
        async with asyncio.timeout(60):
            while await engine.accepted() != count:
                await asyncio.sleep(0.02)

    try:
        await until(partial(_ready, port), "the receiver", process=receiver)
        await send("warm", warm)
        await all_of(warm)
        cpu = tree_cpu_s(roots)
        took_s, waits_ms = await send("load", counts.requests)
        # What was promised by a 202 must be there, or the figure is worth nothing.
        await all_of(warm + counts.requests)
        cpu_s = tree_cpu_s(roots) - cpu
    finally:
        end(receiver, signal.SIGTERM)
    settings = {"connections": _CONNECTIONS, "body_bytes": 1024, **engine.settings()}
    return Answer("webhooks", counts.requests, took_s, cpu_s, waits_ms, settings)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _effects(place: Place) -> list[bytes]:
    try:
        return place.effects.read_bytes().splitlines()
    except FileNotFoundError:
        return []


async def recovery(engine: Engine, counts: Counts, module: str) -> Answer:
    """``kill -9`` when half of the effects are there; seconds from the restart until every one of them is."""
    place = engine.place
    total = counts.crashed * STEPS
    folder = Path(place.folder)
    worker: subprocess.Popen[bytes] | None = None

    def process(role: str) -> subprocess.Popen[bytes]:
        told = json.dumps(asdict(place))
        command = [sys.executable, "-m", "bench.peers.child", module, role, told, str(counts.crashed)]
        return spawn(command, log=folder / "worker.log", cwd=_ROOT)

    try:
        if engine.apart:
            await engine.start()
            await engine.begin(counts.crashed)
        else:
            await engine.ground()
            worker = process("begin")
            await until((folder / "begun").exists, "starting the runs", limit_s=60, process=worker)
        await until(lambda: len(_effects(place)) >= total // 2, "half of the effects", limit_s=CRASH_S, process=worker)
        if engine.apart:
            await engine.kill()
        else:
            end(worker, signal.SIGKILL)
        at_kill = len(_effects(place))
        began = time.perf_counter()
        if engine.apart:
            await engine.again()
        else:
            worker = process("resume")
        await until(lambda: len(set(_effects(place))) >= total, "every effect", limit_s=CRASH_S, process=worker)
        took_s = time.perf_counter() - began
    finally:
        end(worker)
        await engine.stop()
    lines = _effects(place)
    if len(set(lines)) != total:
        raise AssertionError(f"{len(set(lines))} different effects, {total} were to happen")
    settings = {"effects_at_kill": at_kill, "effects_repeated": len(lines) - total, **engine.settings()}
    return Answer("recovery", counts.crashed, took_s, None, [], settings)
