"""Three nodes on one PostgreSQL call one target for as long as is asked (15 s at scale 1, ten minutes at scale 40), and
always have more to call than the limits allow. How many calls were above a limit, as the target itself counted by its
own clock: above the rate, as a bucket of the rate and burst that runs empty, or more at once than are allowed.

The target answers quickly in one part of the time, so that the rate binds, and slowly in another, so that the
concurrency does. A third into it one node is killed, and started again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.counted import Counted
from bench.figure import Asked, Measured, Reach
from bench.owners import SHARDS, until_owned
from bench.question import Question, Round
from bench.service import Service, send

__all__ = ["QUESTION"]

RATE_PER_S, BURST, CONCURRENCY = 40.0, 20, 6
RUNS = 32
"""On each node; each run has one call under way or waiting."""
_ROOT = Path(__file__).parents[2]


async def _ask(round: Round) -> list[Measured]:
    seconds = round.count(15, least=5)
    limits = (str(RATE_PER_S), str(BURST), str(CONCURRENCY))
    counter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.counted", str(seconds), *limits),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    assert counter.stdout is not None
    port = int(await counter.stdout.readline())
    target: dict[str, Any] = {
        "base_url": f"http://127.0.0.1:{port}",
        "allow": [{"methods": ["POST"], "path": "/count"}],
        "allow_private": ["127.0.0.0/8"],
        "rate_per_s": RATE_PER_S,
        "burst": BURST,
        "concurrency": CONCURRENCY,
        "timeout": "5s",
        "attempts": 100,
    }
    more = {"targets": {"counted": target}}
    try:
        async with (
            round.place() as place,
            Service(round.folder / "one", place, more=more) as one,
            Service(round.folder / "two", place, more=more) as two,
            Service(round.folder / "three", place, more=more) as three,
        ):
            # Runs belong to the node that took them.
            await until_owned(place, lambda owners: len(owners) == 3 and min(owners.values()) > SHARDS // 6)
            for number, node in enumerate((one, two, three)):
                load = await send(node.port, type="invoice.counted", prefix=f"c{number}-", connections=8, count=RUNS)
                assert load.statuses == {202: RUNS}, load.statuses
            assert counter.stdin is not None
            counter.stdin.write(b"go\n")
            await asyncio.sleep(seconds / 3)
            await three.kill()
            await asyncio.sleep(1.0)
            await three.begin()
            async with asyncio.timeout(seconds + 60):
                said = msgspec.json.decode(await counter.stdout.readline(), type=Counted)
    finally:
        if counter.returncode is None:
            counter.kill()
        await counter.wait()
    settings = {
        **place.facts,
        "seconds": seconds,
        "rate_per_s": RATE_PER_S,
        "burst": BURST,
        "concurrency": CONCURRENCY,
        **msgspec.to_builtins(said),
    }
    return [
        Measured(name="limits-above", value=said.above_rate + said.above_concurrency, settings=settings),
        Measured(name="limits-used", value=said.calls / said.possible * 100, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(
            name="limits-above",
            text="three nodes with too much to call, one killed: calls above a limit, as the target counts",
            unit="",
            reach=Reach(0, at_most=True),
        ),
        Asked(name="limits-used", text="… and of what the limits allow, used", unit="%"),
    ),
    ask=_ask,
    stores=("postgresql",),
    rounds_max=1,
)
