"""The end of a test: wait until everything is closed, gather the records, compare them."""

from __future__ import annotations

import asyncio
import shutil

from tests.crash.checks import Finding, check
from tests.crash.customer import Customer
from tests.crash.door import Busy, Unknown
from tests.crash.records import Records, read_evidence, read_ledger
from tests.crash.world import ROOT, World

__all__ = ["gather", "must_hold", "until_closed"]

CLOSED_WITHIN_S = 40.0


async def until_closed(world: World) -> None:
    """Wait until no run is open. Returns early when the world dies."""
    counts: dict[str, int] = {}
    for _ in range(int(CLOSED_WITHIN_S / 0.05)):
        if world.dead:
            return
        door = world.current
        try:
            counts = {"unknown": 1} if door is None else await door.open_runs()
        except (Unknown, Busy):
            counts = {"unknown": 1}
        if not sum(counts.values()):
            return
        await asyncio.sleep(0.05)
    # Not an error by itself: the checks say which runs they are and how far they came.


async def gather(world: World, customer: Customer, prefix: str) -> Records:
    """The three records, as they are now."""
    path = world.folder / "evidence.jsonl"
    await (await world.door()).export(path)
    customer.write(world.folder / "customer.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    runs, decisions = read_evidence(lines)
    seen, effects = read_ledger(world.downstream.ledger, prefix)
    return Records(customer.log, seen, effects, runs, decisions, lines, world.leftovers(), world.tenures())


def must_hold(records: Records, world: World, again: str) -> None:
    """Fail with every finding, where the records are, and the command that does the same again."""
    findings: list[Finding] = check(records)
    if findings:
        said = "\n".join(f"  {one.kind}: {one.what}" for one in findings[:40])
        kept = ROOT / ".rco" / "crash" / world.folder.name
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(world.folder, kept)
        raise AssertionError(
            f"{len(findings)} finding(s) after {world.kills} kills:\n{said}\n"
            f"records: {kept}\nagain: {again}\nthe log ends:\n{world.tail()}"
        )
