"""Ten thousand parked runs, each started by a webhook and asleep: what they take of the whole service's memory; then
rehearsed, moved to another version, cancelled, and retried at once and at a rate."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec

from bench.figure import Asked, Measured, Reach
from bench.question import BOTH, Question, Round
from bench.service import LIMITS, Service, send
from rco.client import Client
from rco.kit.clock import SystemClock, iso
from rco.measure.rig import durability
from rco.measure.usage import resident_mib
from rco.model.wire import RunSelection, State
from rco.model.wire_bulk import BulkAsk, BulkView
from rco.model.wire_versions import MoveRuns, MoveView

__all__ = ["QUESTION"]

_PARKED = "run WHERE mode = 1"
_APP = Path(__file__).parent.parent / "app.py"
_RATE = 500.0


async def _ask(round: Round) -> list[Measured]:
    count = round.count(10_000, least=64)
    async with round.place() as place, Service(round.folder / "node", place, versions=("v1", "v2")) as service:
        empty = resident_mib(service.pid)
        # A part of them is enough to see whether a rate is kept.
        few, between_us = count // 4, 0
        for prefix, part in (("few", few), ("rest", count - few)):
            load = await send(service.port, type="invoice.due", prefix=prefix, connections=64, count=part)
            assert load.statuses == {202: part}, load.statuses
            between_us = between_us or SystemClock().now_us()
        await service.until(_PARKED, count)
        # One request more: what the last flush held is let go by then.
        await service.count("run")
        full = resident_mib(service.pid)
        rehearsed_s = await _rehearse(place.where)
        token = (round.folder / "node" / "data" / "admin.token").read_text().strip()
        async with Client(f"http://127.0.0.1:{service.port}", token) as client:
            tried_s = await _move(client, MoveRuns(start="v1", to="v2", preview=True), count)
            moved_s = await _move(client, MoveRuns(start="v1", to="v2"), count)
            await _bulk(client, BulkAsk(action="cancel", where=_of("waiting")), count)
            # Each was told, and closes when its compensations have run.
            await service.until("closed_run WHERE outcome = 'cancelled'", count)
            retried_s = await _bulk(client, BulkAsk(action="retry", where=_of("cancelled")), count)
            # The slots between the first and the last: n commands have n - 1 gaps.
            earlier = msgspec.structs.replace(_of("cancelled"), opened_before=iso(between_us))
            paced_s = await _bulk(client, BulkAsk(action="retry", where=earlier, rate_per_s=_RATE), few)
        told = durability(place)
    settings = {**told, "limits": LIMITS, "runs": count}
    memory = {**told, "limits": LIMITS, "parked": count, "versions": 2, "empty_mib": float(f"{empty:.1f}")}
    off = abs(few / paced_s / _RATE - 1) * 100
    return [
        Measured(name="parked-memory", value=full, settings=memory),
        Measured(name="parked-memory-each", value=(full - empty) * 1024 / count, settings=memory),
        Measured(name="rehearsed-parked", value=rehearsed_s, settings=settings),
        Measured(name="verified-preview", value=tried_s, settings=settings),
        Measured(name="verified-move", value=moved_s, settings=settings),
        Measured(name="bulk-retry", value=retried_s, settings=settings),
        Measured(name="bulk-rate", value=off, settings={**settings, "rate_per_s": _RATE}),
    ]


async def _rehearse(where: str) -> float:
    """The whole command, with the start of its process."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rco", "replay", "--store", where, "--app", str(_APP), "--open"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return time.perf_counter() - begun


async def _move(client: Client, ask: MoveRuns, count: int) -> float:
    """Seconds from asking to the end: every run is replayed on the other version, and moved unless it is a preview."""
    begun = time.perf_counter()
    started = await client.move_runs(ask)
    at: MoveView = await client.move_at(started.id)
    while at.closed_at is None:
        await asyncio.sleep(0.05)
        at = await client.move_at(started.id)
    took_s = time.perf_counter() - begun
    assert (at.fit, at.misfit, at.busy, at.ended) == (count, 0, 0, "done"), at
    return took_s


def _of(state: State) -> RunSelection:
    return RunSelection(state=state, workflow="rest")


async def _bulk(client: Client, ask: BulkAsk, count: int) -> float:
    """Seconds from the preview to the end of the bulk."""
    begun = time.perf_counter()
    found = await client.preview_bulk(ask.where)
    assert found.count == count, found.count
    started = await client.bulk(ask)
    at: BulkView = await client.bulk_at(started.id)
    while at.closed_at is None:
        await asyncio.sleep(0.02)
        at = await client.bulk_at(started.id)
    took_s = time.perf_counter() - begun
    assert (at.done, at.failed, at.ended) == (count, 0, "done"), at
    return took_s


QUESTION = Question(
    asked=(
        Asked(
            name="parked-memory",
            text="resident memory of the service, 10 000 runs parked",
            unit="MiB",
            reach=Reach(150, at_most=True),
        ),
        Asked(name="parked-memory-each", text="… above that of the empty service, for each", unit="KiB"),
        Asked(
            name="rehearsed-parked",
            text="`rco replay` of 10 000 parked runs",
            unit="s",
            reach=Reach(20, at_most=True),
        ),
        Asked(
            name="verified-preview",
            text="verified move of 10 000 parked runs, tried only",
            unit="s",
            reach=Reach(20, at_most=True),
        ),
        Asked(
            name="verified-move",
            text="… and moved, one commit each",
            unit="s",
            reach=Reach(20, at_most=True),
        ),
        Asked(
            name="bulk-retry",
            text="bulk retry of 10 000 runs, with preview",
            unit="s",
            reach=Reach(30, at_most=True),
        ),
        Asked(name="bulk-rate", text="… at 500/s: how far off the rate is", unit="%", reach=Reach(5, at_most=True)),
    ),
    ask=_ask,
    stores=BOTH,
    rounds_max=1,
)
