"""Transactions a second that an idle node costs its database: heartbeats, looks for messages, nothing else."""

from __future__ import annotations

import asyncio
import statistics
from itertools import pairwise

import asyncpg

from bench.figure import Asked, Measured, Reach
from bench.question import Question, Round
from bench.service import Service
from rco.measure.usage import cpu_s, tree_cpu_s

__all__ = ["QUESTION"]

_COUNT = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1"
# A connection that has nothing more to do tells the server's statistics up to 10 s late (PGSTAT_IDLE_INTERVAL) what it
# did: what the start asked must not be counted as what an idle node asks.
_SETTLED_S, _WINDOWS = 11.0, 3


async def _ask(round: Round) -> list[Measured]:
    seconds = round.count(4, least=2)
    # Looked at from another database, so that looking does not count.
    watching = await asyncpg.connect(round.server)
    try:
        async with round.place() as place, Service(round.folder / "node", place) as service:
            await asyncio.sleep(_SETTLED_S)
            cpu, server = cpu_s(service.pid), tree_cpu_s(place.server_pid)
            counts = [await watching.fetchval(_COUNT, place.name)]
            for _ in range(_WINDOWS):
                await asyncio.sleep(seconds)
                counts.append(await watching.fetchval(_COUNT, place.name))
            used = cpu_s(service.pid) - cpu
            used_there = tree_cpu_s(place.server_pid) - server
    finally:
        await watching.close()
    # Once a minute autovacuum walks through all tables in as many transactions: the window that it falls into is out.
    rates = [(after - before) / seconds for before, after in pairwise(counts)]
    seconds *= _WINDOWS
    settings = {
        **place.facts,
        "seconds": seconds,
        "windows_per_s": rates,
        "node_cpu_share": used / seconds,
        "server_cpu_s": used_there,
    }
    return [
        Measured(name="idle", value=statistics.median(rates), settings=settings),
        Measured(name="idle-cpu", value=used / seconds * 100, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(
            name="idle",
            text="transactions on the database by an idle node",
            unit="/s",
            reach=Reach(2, at_most=True),
        ),
        Asked(name="idle-cpu", text="… and its own share of a core", unit="%"),
    ),
    ask=_ask,
    stores=("postgresql",),
    rounds_max=1,
    alongside="takeover",
)
