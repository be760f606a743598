"""``python -m bench.soak [--minutes 10] [--rate 200] [--store sqlite|postgresql] [--out FILE] [--folder DISK]``, or
``make soak MINUTES=10``: half reads, three in ten webhooks that each start a run, two in ten puts.

Status 0 when everything stayed bounded and nothing was lost, 6 when not, 1 when it could not be carried out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop

from bench.bridge import Bridge, whole
from bench.machine import facts, load
from bench.question import STORES
from bench.server import postgres
from bench.soak.bounds import Found, Sample, judge
from rco.drills.books import sent
from rco.drills.counters import Counters, read_counters
from rco.drills.load import Came, Said, mixed
from rco.drills.sending import Sending
from rco.measure.scratch import scratch

__all__ = ["Soaked", "main", "soak"]

SAMPLE_EVERY_S = 2.0
SAMPLES_MOST = 600
"""A longer soak is sampled less often: each two of them are compared."""
TELL_EVERY_S = 30.0
_DRAIN_S = 120.0
_SHOWN = 3


class Soaked(msgspec.Struct, frozen=True, kw_only=True):
    """What a soak found, as it is written."""

    format: str = "rco-soak/1"
    ok: bool
    minutes: float
    rate_per_s: float
    store: str
    warm_s: float
    bounds: list[Found]
    books: list[str]
    """What of the books does not balance."""
    came: list[Came]
    counters: Counters
    samples: list[Sample]
    machine: dict[str, Any]


async def soak(
    minutes: float, rate_per_s: float, store: str, folder: Path, server: str, machine: dict[str, Any]
) -> Soaked:
    """Carry it out. Raises ``RuntimeError`` or ``ValueError`` where it could not be."""
    seconds = minutes * 60
    warm_s = min(90.0, seconds * 0.25)
    every_s = max(min(SAMPLE_EVERY_S, seconds / 40), seconds / SAMPLES_MOST)
    samples: list[Sample] = []
    record = folder / "sent.jsonl"
    async with (
        scratch(server if store == "postgresql" else str(folder / "rco.db")) as place,
        Bridge(folder / "node", place) as bridge,
        aiohttp.ClientSession() as web,
    ):

        async def counted() -> Counters:
            async with web.get(f"http://127.0.0.1:{bridge.metrics_port}/metrics") as answer:
                return read_counters(await answer.text())

        async with Sending(await bridge.way("soak", record=str(record)), _Teller(warm_s)) as sending:
            await sending.send(mixed("warm", rate_per_s))
            began, at_s, phase = time.monotonic(), 0.0, "warm"
            while at_s < seconds:
                await asyncio.sleep(every_s)
                at_s = time.monotonic() - began
                if phase == "warm" and at_s >= warm_s:
                    phase = "steady"
                    await sending.send(mixed(phase, rate_per_s))
                now = await counted()
                samples.append(_sample(at_s, bridge.pid, now))
            came = await sending.finish()
        async with asyncio.timeout(_DRAIN_S):
            while (counters := await counted()).open_runs or counters.backlog:
                await asyncio.sleep(0.2)
        stored = {str(row[0]) for row in await bridge.rows("SELECT id FROM event")}
        unclosed = await bridge.count("run")
    written = await asyncio.to_thread(sent, record)
    books = _books(counters, whole(came, "steady"), lost=written.webhooks - stored, unclosed=unclosed)
    bounds = judge(samples, warm_s)
    return Soaked(
        ok=all(one.ok for one in bounds) and not books,
        minutes=minutes,
        rate_per_s=rate_per_s,
        store=store,
        warm_s=warm_s,
        bounds=bounds,
        books=books,
        came=came,
        counters=counters,
        samples=samples,
        machine={**machine, "load_after": load()},
    )


def _sample(at_s: float, pid: int, now: Counters) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return Sample(
        at_s=round(at_s, 2),
        resident_mib=int(fields["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        threads=int(fields["Threads"]),
        queued=now.backlog,
        open_runs=now.open_runs,
    )


def _books(counters: Counters, steady: Came, *, lost: set[str] | frozenset[str], unclosed: int) -> list[str]:
    wrong = []
    refused = sum(counters.refused.values())
    if counters.received != counters.accepted + refused:
        wrong.append(f"received {counters.received} is not accepted {counters.accepted} + refused {refused}")
    if lost:
        wrong.append(f"{len(lost)} acknowledged events are not stored: {', '.join(sorted(lost)[:_SHOWN])}")
    if unclosed:
        wrong.append(f"{unclosed} runs are still open")
    if not steady.good:
        wrong.append("nothing was answered")
    return wrong


class _Teller:
    """Says every half minute how it goes."""

    def __init__(self, warm_s: float) -> None:
        self._next_s, self._warm_s = TELL_EVERY_S, warm_s

    def __call__(self, said: Said) -> None:
        if said.at_s < self._next_s:
            return
        self._next_s += TELL_EVERY_S
        kinds = ", ".join(
            f"{kind} {sum(second.statuses.values())}/s p95 {second.p95_ms:.0f} ms"
            for kind, second in said.kinds.items()
        )
        warm = " (warming up)" if said.at_s < self._warm_s else ""
        sys.stderr.write(f"{said.at_s:7.0f} s{warm}  {kinds}\n")
        sys.stderr.flush()


def show(found: Soaked) -> None:
    """The figures and the verdict, in words."""
    print(
        f"{found.rate_per_s:g} requests/s for {found.minutes:g} min on {found.store}, {found.warm_s:.0f} s of warm-up"
    )
    for one in found.came:
        if one.phase == "steady":
            refused = ", ".join(f"{count} {reason}" for reason, count in sorted(one.reasons.items())) or "none refused"
            print(
                f"  {one.kind:<8} {one.asked:>8} asked, {one.good:>8} good, {refused}; "
                f"p50 {one.p50_ms:.1f} ms, p95 {one.p95_ms:.1f} ms, p99 {one.p99_ms:.1f} ms, most {one.most_ms:.0f} ms"
            )
    for one in found.bounds:
        print(f"  {'bounded' if one.ok else 'GROWS  '}  {one.said}")
    for wrong in found.books:
        print(f"  WRONG    {wrong}")
    if not found.books:
        counted = found.counters
        refused = sum(counted.refused.values())
        print(f"  books    received {counted.received} = accepted {counted.accepted} + refused {refused}; nothing lost")
    print("soak: everything stayed bounded" if found.ok else "soak: NOT everything stayed bounded")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="A long mixed load.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default: 200)")
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--folder", type=Path, default=Path(".rco"), help="on the disk to be used (default: .rco)")
    given = parser.parse_args(arguments)
    if not 0 < given.minutes <= 24 * 60 or not 0 < given.rate <= 10_000:
        parser.error("give 0 to 1440 minutes and 0 to 10 000 requests a second, both above 0")
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=given.folder)).resolve()
    machine = {**facts(folder), "load_before": load()}
    try:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(postgres(folder)) if given.store == "postgresql" else ""
            found = uvloop.run(soak(given.minutes, given.rate, given.store, folder, server, machine))
    except (RuntimeError, ValueError, TimeoutError) as problem:
        sys.stderr.write(f"soak: it could not be carried out: {problem}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(found)
    if given.out is not None:
        given.out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return 0 if found.ok else 6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
