"""From the command to the first 200 of ``/readyz``, on an empty, migrated store; and how long the help takes."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.figure import Asked, Measured, Reach
from bench.process import cpu_s
from bench.question import Question, Round
from bench.service import Service
from rco.store import migrate

__all__ = ["QUESTION"]


async def _ask(round: Round) -> list[Measured]:
    await asyncio.to_thread(migrate.up, round.folder / "rco.db")
    service = Service(round.folder)
    began = time.perf_counter()
    try:
        await service.begin()
        ready_s = time.perf_counter() - began
        used_s = cpu_s(service.pid)
    finally:
        await service.__aexit__()
    began = time.perf_counter()
    told = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rco", "--help"), stdout=asyncio.subprocess.DEVNULL
    )
    status = await told.wait()
    help_s = time.perf_counter() - began
    assert status == 0, f"rco --help ended with {status}"
    settings = {"store": "empty, migrated", "cpu_s": used_s}
    return [
        Measured(name="start", value=ready_s, settings=settings),
        Measured(name="help", value=help_s, settings={}),
    ]


QUESTION = Question(
    asked=(
        Asked(name="start", text="`rco serve` to ready, empty store", unit="s", reach=Reach(0.7, at_most=True)),
        Asked(name="help", text="`rco --help`", unit="s", reach=Reach(0.15, at_most=True)),
    ),
    ask=_ask,
)
