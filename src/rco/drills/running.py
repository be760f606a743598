"""One drill from its first request to its verdict."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

import rco
from rco.audit.verify import read_lines
from rco.audit.verify import verify as verify_chain
from rco.drills.books import Decided, Sent, decided, events_since, sent
from rco.drills.checks import CHECKS, Check, Seen
from rco.drills.counters import Counters
from rco.drills.deployment import Deployment
from rco.drills.drill import BROWNOUT, Drill
from rco.drills.load import Came, Said, mixed
from rco.drills.service import WEBHOOK_SECRET, plain
from rco.drills.size import RECOVERY_MAX_S, Size
from rco.drills.stage import Moment, Stage, State
from rco.errors import Misuse
from rco.kit.clock import SystemClock, iso
from rco.kit.digest import content_address
from rco.measure.machine import cores, load
from rco.measure.scratch import scratch

__all__ = ["Report", "run_drill"]

SETTLE_S = 60.0
_READS_AT_A_TIME = 16
_ADDRESSES_MAX = 5_000
_TOOL_S = 120.0
_CLOCKS_APART_US = 900_000_000
"""How far the clock of a deployment may be behind ours, for its events to be found."""
_PROBLEMS = 5
_EVIDENCE_TRIES, _EVIDENCE_AGAIN_S = 5, 3.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of a drill, as it is written to a file. Holds no secret."""

    format: str = "rco-drill/1"
    drill: str
    about: str
    expects: str
    ok: bool
    checks: list[Check]
    began_at: str
    took_s: float
    recovery_s: float | None
    where: str
    size: Size
    moments: list[Moment]
    came: list[Came]
    counters: Counters
    seconds: list[Said]
    states: list[State]
    machine: dict[str, str | int | float]


async def run_drill(
    drill: Drill,
    size: Size,
    folder: Path,
    tell: Callable[[Moment], None],
    *,
    store: str = "",
    deployment: Deployment | None = None,
) -> Report:
    """Run ``drill`` in ``folder``, which is empty.

    ``store``: a PostgreSQL server on which it makes a database of its own, and removes it; without it the store is a
    file in ``folder``. Raises ``Misuse`` for a drill that cannot meet a deployment, and ``RuntimeError`` where it could
    not be carried out: that is no verdict.
    """
    if deployment is not None and not drill.anywhere:
        raise Misuse(
            f"the drill {drill.name} does something to the service's process.", cure="Run it without --url, on its own."
        )
    began_us = SystemClock().now_us()
    async with (
        _database(store) as where,
        Stage(folder, size, tell, settings=drill.settings(size), store=where, deployment=deployment) as stage,
    ):
        await stage.load(mixed("calm", size.rate_per_s))
        stage.moment("the load begins")
        await stage.rest(size.calm_s)
        await stage.load(drill.under(size))
        struck_s = stage.now_s
        stage.moment(f"the fault begins: {drill.about}")
        await drill.strike(stage)
        await stage.rest(max(0.0, size.fault_s - (stage.now_s - struck_s)))
        browned_out = drill.writes == BROWNOUT and await stage.until(
            lambda: stage.browned_out(struck_s), max(0.1, size.fault_max_s - (stage.now_s - struck_s))
        )
        if drill.kills:
            struck_s = next(one.at_s for one in reversed(stage.moments) if one.what == "killed")
        else:
            await drill.lift(stage)
            struck_s = stage.now_s
        await stage.load(mixed("after", size.rate_per_s))
        stage.moment("the fault ends")
        recovery_s = await stage.recovered(struck_s, RECOVERY_MAX_S)
        stage.moment("all well" if recovery_s is not None else f"not well after {RECOVERY_MAX_S:g} s")
        await stage.rest(size.after_s)
        came = await stage.finish()
        stage.moment("the load has ended; the books are compared")
        looking = _Looking(stage, drill, began_us)
        seen = await looking.seen(came, browned_out=browned_out, recovery_s=recovery_s)
    checks = [check for checks_of in CHECKS for check in checks_of(seen)]
    return Report(
        drill=drill.name,
        about=drill.about,
        expects=drill.expects,
        ok=all(check.ok is not False for check in checks),
        checks=checks,
        began_at=iso(began_us),
        took_s=round((SystemClock().now_us() - began_us) / 1e6, 1),
        recovery_s=recovery_s,
        where=deployment.url if deployment is not None else "PostgreSQL" if store else "SQLite",
        size=size,
        moments=stage.moments,
        came=came,
        counters=seen.counters,
        seconds=stage.seconds,
        states=stage.states,
        machine={
            "cores": cores(),
            "load": round(load(), 2),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "rco": rco.__version__,
        },
    )


@asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    if not server:
        yield ""
        return
    async with scratch(server) as place:
        yield place.where


class _Looking:
    """Gathers what every party wrote down, once the load has ended."""

    def __init__(self, stage: Stage, drill: Drill, began_us: int) -> None:
        self._stage, self._drill, self._began_us = stage, drill, began_us

    async def seen(self, came: list[Came], *, browned_out: bool, recovery_s: float | None) -> Seen:
        stage = self._stage
        written = await asyncio.to_thread(sent, stage.record)
        own = stage.deployment is None
        events = await self._events()
        if own:
            await self._settle(events)
        counters = await self._counters()
        unread = await self._unread(written)
        found: tuple[Decided, list[str]] | None = None
        verdict: str | None = None
        if own:
            found = await self._evidence()
            await stage.own.stop()
            verdict = await self._verdict()
        return Seen(
            drill=self._drill,
            came=came,
            browned_out=browned_out,
            recovery_s=recovery_s,
            kills=stage.kills,
            sent=written,
            events=frozenset(events),
            unread=unread,
            entries=dict(stage.ledger.entries) if own else None,
            counters=counters,
            decided=found[0] if found else None,
            evidence=found[1] if found else None,
            verdict=verdict,
        )

    async def _events(self) -> set[str]:
        """Those of this drill: others may have sent as well."""
        stage = self._stage
        client = stage.own.client() if stage.deployment is None else stage.deployment.client()
        since_us = 0 if stage.deployment is None else self._began_us - _CLOCKS_APART_US
        async with client:
            found = await events_since(client, "drill.order", since_us)
        return {one for one in found if one.startswith(stage.prefix)}

    async def _settle(self, events: set[str]) -> None:
        """Wait until every run has closed; what has not is found by the checks."""
        stage = self._stage
        try:
            async with asyncio.timeout(SETTLE_S):
                while events - stage.ledger.entries.keys() or (await stage.counters()).open_runs:
                    await stage.rest(0.1)
        except TimeoutError:
            stage.moment(f"runs are still open after {SETTLE_S:g} s")

    async def _counters(self) -> Counters:
        stage = self._stage
        counted = await stage.counters()
        if stage.deployment is None:
            return counted
        for _ in range(20):
            counted = counted.since(stage.before)
            if counted.received == counted.accepted + sum(counted.refused.values()):
                break
            # Others send as well, and something of theirs is between its two counters.
            await asyncio.sleep(0.1)
            counted = await stage.counters()
        return counted

    async def _unread(self, written: Sent) -> list[str]:
        """Acknowledged content that does not give exactly its bytes."""
        addresses = sorted(written.addresses)[:_ADDRESSES_MAX]
        stage = self._stage
        url = stage.own.url if stage.deployment is None else stage.deployment.url
        wrong: list[str] = []
        left = iter(addresses)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

            async def reader() -> None:
                for address in left:
                    try:
                        async with session.get(f"{url}/o/{address}") as answer:
                            good = answer.status == 200 and content_address(await answer.read()) == address
                    except (aiohttp.ClientError, TimeoutError, OSError):
                        good = False
                    if not good:
                        wrong.append(address)

            await asyncio.gather(*(reader() for _ in range(_READS_AT_A_TIME)))
        return wrong

    async def _evidence(self) -> tuple[Decided, list[str]]:
        """The decisions, and what is wrong with the chain, from an export as a stranger gets it."""
        path = self._stage.folder / "evidence.jsonl"
        for _ in range(_EVIDENCE_TRIES):
            async with self._stage.own.client() as client:
                with path.open("wb") as file:
                    async for piece in client.export_audit(journal=True):
                        file.write(piece)
            found, wrong = await asyncio.to_thread(_read_evidence, path)
            # What could not be made known while the store was away is made known some seconds later.
            if self._drill.writes != BROWNOUT or (found.brownouts and found.brownouts[-1].startswith("ends")):
                break
            await self._stage.rest(_EVIDENCE_AGAIN_S)
        return found, wrong

    async def _verdict(self) -> str:
        """What ``rco verify`` says of the database that was left; empty when every rule holds."""
        folder = self._stage.folder
        export = folder / "export.jsonl"
        skew = f"{self._drill.skewed_s:g}s"
        for arguments in (
            ("export", str(export), "--config", str(self._stage.own.config)),
            ("verify", str(export), "--settled", "--late", "60s", "--skew", skew),
        ):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rco", *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=folder,
                env={**plain(os.environ), WEBHOOK_SECRET: self._stage.own.secret},
            )
            async with asyncio.timeout(_TOOL_S):
                said, _ = await process.communicate()
            # 1: a rule had nothing to look at, as no log of a client or target is given.
            if process.returncode not in (0, 1) or (arguments[0] == "export" and process.returncode):
                return " / ".join(said.decode(errors="replace").strip().splitlines()[-_PROBLEMS:])
        return ""


def _read_evidence(path: Path) -> tuple[Decided, list[str]]:
    with path.open("rb") as file:
        verdict = verify_chain(read_lines(file))
    with path.open("rb") as file:
        found = decided(read_lines(file))
    return found, [str(problem) for problem in verdict.problems[:_PROBLEMS]]
