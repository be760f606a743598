"""Governed calls, 64 at a time, against the bare client in the same round: rules, limits, breaker, address guard,
redaction, journal and evidence included. The server that is called runs in a process of its own and is not counted."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

import aiohttp

from bench.app import WORKFLOWS
from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from rco.measure.rig import Rig, side_by_side
from rco.measure.usage import Meter
from rco.model.target import Rule, Target

__all__ = ["QUESTION"]

AT_A_TIME, CALLS = 64, 10


async def _ask(round: Round) -> list[Measured]:
    runs = round.count(384, least=2)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.floor"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
        env=dict(os.environ),
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(await server.stdout.readline())}"
    try:
        bare_s, bare_cpu_s = await _bare(url, runs * CALLS)
        target = Target(name="peer", base_url=url, allow=[Rule(["POST"], "/charge")], allow_private=["127.0.0.0/8"])
        async with round.place() as place, Rig(place, WORKFLOWS, targets=[target]) as rig:
            one = partial(rig.run, "caller", CALLS)
            warm = min(runs, AT_A_TIME)
            await side_by_side(warm, AT_A_TIME, one, rig.meter)
            took_s, cpu_s = await side_by_side(runs, AT_A_TIME, one, rig.meter)
            settings = await rig.finish((runs + warm) * CALLS, runs + warm)
    finally:
        await server.communicate(b"")
    count = runs * CALLS
    settings |= {"at_a_time": AT_A_TIME, "bare_client": f"aiohttp {aiohttp.__version__}", "bare_per_s": count / bare_s}
    cost, bare_cost = cpu_s / count * 1000, bare_cpu_s / count * 1000
    return [
        Measured(name="calls", value=count / took_s, cpu_s_per_1000=cost, settings=settings),
        Measured(name="calls-bare", value=count / bare_s, cpu_s_per_1000=bare_cost, settings=settings),
        Measured(name="calls-cpu", value=cost / bare_cost, cpu_s_per_1000=cost, settings=settings),
    ]


async def _bare(url: str, count: int) -> tuple[float, float]:
    """What the bare client does: the same requests, their answers read, nothing else."""
    connector = aiohttp.TCPConnector(limit=AT_A_TIME)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one() -> None:
            async with session.post(f"{url}/charge", json={"number": 1}) as answer:
                assert answer.status == 202, answer.status
                await answer.json()

        await side_by_side(min(count, AT_A_TIME), AT_A_TIME, one, Meter())
        return await side_by_side(count, AT_A_TIME, one, Meter())


QUESTION = Question(
    asked=(
        Asked(name="calls", text=f"governed calls, {AT_A_TIME} at a time, {CALLS} in each run", unit="/s"),
        Asked(name="calls-bare", text="… the bare client, the same requests", unit="/s"),
        Asked(
            name="calls-cpu",
            text="… CPU of a governed call, journal and evidence included, to the bare client's",
            unit="x",
            reach=Reach(1.8, at_most=True),
        ),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=2,
)
