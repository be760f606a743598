"""What several nodes cost: the same work on one PostgreSQL, by one node, by two, by four."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench.figure import Reach
from bench.growth.curve import Curve, Growing, Line, Point
from rco.measure.scratch import Place
from rco.measure.usage import tree_cpu_s

__all__ = ["CURVE"]

_ROOT = Path(__file__).parents[3]
_RUNS, _AT_A_TIME, _STEPS = 2_400, 100, 10
_TIMES = 3


async def _ask(growing: Growing) -> AsyncIterator[Point]:
    runs = growing.count(_RUNS, least=40)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    # Round by round, so that a noisy minute touches all sizes alike.
    for _ in range(growing.count(_TIMES)):
        for size in growing.sizes:
            for which, at_a_time in (("", _AT_A_TIME // size), ("-each", _AT_A_TIME)):
                async with growing.place() as place:
                    one = await _together(place, size, runs, min(runs // size, at_a_time))
                found.setdefault((which, size), []).append(one)
    for (which, size), rounds in found.items():
        cost = statistics.median(cost for cost, _ in rounds)
        rate = statistics.median(rate for _, rate in rounds)
        settings = {"runs": runs, "steps_per_run": _STEPS, "rounds": len(rounds)}
        yield Point(line=f"cpu{which}", x=size, value=cost, cpu_s_per_1000=cost, settings=settings)
        yield Point(line=f"steps{which}", x=size, value=rate, cpu_s_per_1000=cost, settings=settings)


async def _together(place: Place, size: int, runs: int, at_a_time: int) -> tuple[float, float]:
    """CPU seconds for 1 000 steps, of all nodes and the server; and steps a second."""
    nodes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.growth.node", place.where, f"bench-{number}", str(size)),
            *(str(runs // size), str(at_a_time), str(_STEPS)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
        )
        for number in range(size)
    ]
    try:
        for node in nodes:
            assert await _told(node) == ["ready"]
        server, began = tree_cpu_s(place.server_pid), time.perf_counter()
        for node in nodes:
            _go(node)
        used = [float((await _told(node))[1]) for node in nodes]
        took_s, cpu_s = time.perf_counter() - began, tree_cpu_s(place.server_pid) - server + sum(used)
        for node in nodes:
            _go(node)
        for node in nodes:
            assert await node.wait() == 0
    finally:
        for node in nodes:
            if node.returncode is None:
                node.kill()
    steps = runs // size * size * _STEPS
    return cpu_s / steps * 1000, steps / took_s


async def _told(node: asyncio.subprocess.Process) -> list[str]:
    assert node.stdout is not None
    words = (await node.stdout.readline()).decode().split()
    assert words, "a node ended"
    return words


def _go(node: asyncio.subprocess.Process) -> None:
    assert node.stdin is not None
    node.stdin.write(b"\n")


CURVE = Curve(
    title="Nodes on one PostgreSQL",
    about=(
        "The same 2 400 runs of 10 steps by so many nodes on one PostgreSQL; the CPU is that of all nodes and the "
        "server together. Once 100 runs at a time in all: each node has fewer, so fewer share one of its commits. And "
        "once 100 at a time on each node, as where nodes were added for more work. Two cores cannot show "
        "what nodes add in throughput, only what they cost."
    ),
    x="nodes",
    sizes=(1, 2, 4),
    lines=(
        Line(
            name="cpu",
            text="CPU seconds for 1 000 steps, 100 runs at a time in all",
            unit="s",
            growth=Reach(1.15, at_most=True),
        ),
        Line(
            name="cpu-each",
            text="CPU seconds for 1 000 steps, 100 runs at a time on each node",
            unit="s",
            growth=Reach(1.15, at_most=True),
        ),
        Line(name="steps", text="durable steps, 100 runs at a time in all", unit="/s"),
        Line(name="steps-each", text="durable steps, 100 runs at a time on each node", unit="/s"),
    ),
    ask=_ask,
    stores=("postgresql",),
)
