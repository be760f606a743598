"""Two nodes on one PostgreSQL; the one that runs 500 runs is killed half-way: when the other owns all its shards, and
when all runs are done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.app import STEPS
from bench.figure import Asked, Measured, Reach
from bench.ledger import effects, until_effects
from bench.question import Question, Round
from bench.service import Service, fetch, send

__all__ = ["QUESTION"]

_DONE = "closed_run WHERE outcome = 'completed'"
_OWNERS = "SELECT owner, count(*) FROM lease WHERE owner IS NOT NULL GROUP BY owner"
_NAMES = "SELECT name, pid FROM node"
_SHARDS = 256
_LEASES = {"": {}, "-short": {"heartbeat": "0.5s", "lease_ttl": "2s", "lease_margin": "0.5s"}}
"""The defaults, and what ``StoreOptions`` names for a takeover within 3 s."""


async def _ask(round: Round) -> list[Measured]:
    measured = []
    for which, lease in _LEASES.items():
        measured += await _one(round, round.folder / (which or "default"), which, lease)
    return measured


async def _one(round: Round, folder: Path, which: str, lease: dict[str, str]) -> list[Measured]:
    folder.mkdir()
    runs = round.count(500, least=10)
    ledger = folder / "ledger"
    async with (
        round.place() as place,
        Service(folder / "one", place, ledger, lease) as one,
        Service(folder / "two", place, ledger, lease) as two,
    ):
        await _until(place, lambda owners: len(owners) == 2 and min(owners.values()) > _SHARDS // 4)
        doomed = next(str(row[0]) for row in await fetch(place, _NAMES) if row[1] == one.pid)
        load = await send(one.port, type="order.placed", prefix="o", connections=64, count=runs)
        assert load.statuses == {202: runs}, load.statuses
        await until_effects(ledger, runs * STEPS // 2)
        await one.kill()
        began = time.perf_counter()
        await _until(place, lambda owners: doomed not in owners and sum(owners.values()) == _SHARDS)
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


async def _owners(place: Any) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in await fetch(place, _OWNERS)}


async def _until(place: Any, holds: Callable[[dict[str, int]], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds(await _owners(place)):
            await asyncio.sleep(0.01)


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
