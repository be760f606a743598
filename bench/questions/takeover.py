"""Two nodes on one PostgreSQL; the one that runs 500 runs is killed half-way: when the other owns all its shards, and
when all runs are done.

With the defaults most of that time is the wait for a lease to run out, in which nothing is done. The same with a short
lease, on another database, is asked in it."""

from __future__ import annotations

import asyncio
import time

from bench.app import STEPS
from bench.figure import Asked, Measured, Reach
from bench.ledger import effects, until_effects
from bench.owners import SHARDS, until_owned
from bench.question import Question, Round
from bench.service import Service, fetch, send

__all__ = ["QUESTION"]

_DONE = "closed_run WHERE outcome = 'completed'"
_NAMES = "SELECT name, pid FROM node"
_LEASES = {"": {}, "-short": {"heartbeat": "0.5s", "lease_ttl": "2s", "lease_margin": "0.5s"}}
"""The defaults, and what ``StoreOptions`` names for a takeover within 3 s."""


async def _ask(round: Round) -> list[Measured]:
    at_once, waits = asyncio.Event(), asyncio.Event()
    at_once.set()
    async with asyncio.TaskGroup() as group:
        default = group.create_task(_one(round, "", begin=at_once, killed=waits))
        short = group.create_task(_one(round, "-short", begin=waits, killed=asyncio.Event()))
    return default.result() + short.result()


async def _one(round: Round, which: str, *, begin: asyncio.Event, killed: asyncio.Event) -> list[Measured]:
    """``begin``: when both nodes are there and this is set, the runs are started. ``killed`` is set behind that."""
    folder, lease = round.folder / (which or "default"), _LEASES[which]
    folder.mkdir()
    runs = round.count(500, least=10)
    ledger = folder / "ledger"
    async with (
        round.place() as place,
        Service(folder / "one", place, ledger, lease) as one,
        Service(folder / "two", place, ledger, lease) as two,
    ):
        await until_owned(place, lambda owners: len(owners) == 2 and min(owners.values()) > SHARDS // 4)
        await begin.wait()
        doomed = next(str(row[0]) for row in await fetch(place, _NAMES) if row[1] == one.pid)
        load = await send(one.port, type="order.placed", prefix="o", connections=64, count=runs)
        assert load.statuses == {202: runs}, load.statuses
        await until_effects(ledger, runs * STEPS // 2)
        await one.kill()
        began = time.perf_counter()
        killed.set()
        await until_owned(place, lambda owners: doomed not in owners and sum(owners.values()) == SHARDS)
        taken_s = time.perf_counter() - began
        await two.until(_DONE, runs, within_s=120)
        done_s = time.perf_counter() - began
        found = effects(ledger)
        assert len(found) == runs * STEPS, f"{len(found)} different effects, {runs * STEPS} were asked for"
    repeated = sum(found.values()) - len(found)
    settings = {**place.facts, "runs": runs, "repeated": repeated, "lease": lease or "defaults"}
    return [
        Measured(name=f"takeover{which}", value=taken_s, settings=settings),
        Measured(name=f"takeover{which}-done", value=done_s, settings=settings),
    ]


QUESTION = Question(
    asked=(
        Asked(
            name="takeover",
            text="a second node owns all shards of a killed one after",
            unit="s",
            reach=Reach(10, at_most=True),
        ),
        Asked(name="takeover-done", text="… all its 500 runs are done after", unit="s"),
        Asked(
            name="takeover-short",
            text="… with a lease of 2 s and heartbeats of 0.5 s",
            unit="s",
            reach=Reach(3, at_most=True),
        ),
        Asked(name="takeover-short-done", text="… all its 500 runs are done after", unit="s"),
    ),
    ask=_ask,
    stores=("postgresql",),
    rounds_max=1,
)
