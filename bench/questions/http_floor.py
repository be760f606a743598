"""The same server and the same sender with no work between them: an ASGI application that reads a body and says 202."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bench.figure import Asked, Measured
from bench.question import Question, Round
from bench.service import send
from rco.measure.usage import cpu_s

__all__ = ["QUESTION"]

CONNECTIONS = 64


async def _ask(round: Round) -> list[Measured]:
    count = round.count(12_000, least=64)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.floor"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
        env=dict(os.environ),
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    try:
        await send(port, type="floor", prefix="warm", connections=CONNECTIONS, count=round.count(2_000, least=64))
        before = cpu_s(server.pid)
        load = await send(port, type="floor", prefix="load", connections=CONNECTIONS, count=count)
        used_s = cpu_s(server.pid) - before
    finally:
        await server.communicate(b"")
    assert load.statuses == {202: count}, load.statuses
    settings = {"connections": CONNECTIONS, "sender_cpu_us_each": load.cpu_s / count * 1e6}
    cost = used_s / count * 1000
    return [Measured(name="http-floor", value=count / load.took_s, cpu_s_per_1000=cost, settings=settings)]


QUESTION = Question(
    asked=(Asked(name="http-floor", text="raw: POST of 1 KiB answered without any work", unit="/s"),),
    ask=_ask,
    raw=True,
    stores=("-",),
)
