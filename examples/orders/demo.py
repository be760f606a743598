"""The demo: the main job end to end on real processes, with a kill in the middle and a comparison at the end.

``make demo``, ``rco demo`` or ``python -m examples.orders.demo``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import fcntl
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from examples.orders.compare import compare
from examples.orders.deliveries import Keys, make_plan
from examples.orders.records import Evidence, Told, read_evidence, read_services, read_told
from examples.orders.report import Result, print_report
from examples.orders.sender import Sender
from examples.orders.world import ROOT, World, stop_kept

__all__ = ["judge", "main", "run_demo"]

FOLDER = ROOT / ".rco" / "demo"
SEED = 20
AT_ONCE = 32
PER_S = 60.0
CLOSED_WITHIN_S = 60.0


class _Show:
    """What is seen meanwhile: one bar for deliveries, one for runs, a line for each event of note."""

    def __init__(self, console: Console, requests: int) -> None:
        self._began = time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
        )
        self._webhooks = self.progress.add_task("webhooks", total=requests, note="")
        self._runs = self.progress.add_task("runs", total=0, note="")
        self._answers = {"accepted": 0, "duplicate": 0, "refused": 0, "no answer": 0}

    def say(self, text: str) -> None:
        self.progress.console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {text}")

    def told(self, one: Told) -> None:
        word = "no answer" if not one.status else "refused" if one.status != 202 else "accepted"
        self._answers["duplicate" if one.duplicate else word] += 1
        note = ", ".join(f"{count} {name}" for name, count in self._answers.items() if count)
        self.progress.update(self._webhooks, advance=1 if one.status not in (0, 429, 503) else 0, note=note)

    def runs(self, opened: int, still_open: int) -> None:
        self.progress.update(self._runs, total=opened, completed=max(0, opened - still_open), note="closed")


async def run_demo(world: World, console: Console, *, orders: int) -> Result:
    """Send, kill, restart, wait and compare. The world is started here and left running."""
    plan = make_plan(world.seed, orders)
    requests = sum(one.copies + one.again for one in plan)
    show = _Show(console, requests)
    answered = 0
    starts = 0
    half_way, killed = asyncio.Event(), asyncio.Event()
    # Of the first three quarters of the plan, so that there is more to send when it is done.
    half = sum(one.copies for one in plan[: len(plan) * 3 // 4]) * 2 // 3

    def on_told(one: Told) -> None:
        nonlocal answered, starts
        show.told(one)
        answered += one.status != 0
        if one.status == 202 and not one.duplicate:
            starts += len(one.workflows)
        if answered >= half:
            half_way.set()

    with show.progress:
        show.say("starting the services and rco dev")
        await world.start()
        sender = Sender(world.base_url, world.keys, world.folder / "sender.jsonl", on_told)
        show.say(f"ready at {world.base_url}; sending {requests} webhooks")
        sending = asyncio.create_task(sender.send_all(plan, at_once=AT_ONCE, per_s=PER_S, last=killed))
        watching = asyncio.create_task(_watch(world, show, lambda: starts))
        await _first(half_way, sending)
        show.say(f"[bold]kill -9[/bold] with {await _open_runs(world)} runs open; starting again")
        world.kill()
        killed.set()
        await world.restart()
        show.say("ready again on what the disk holds")
        await sending
        watching.cancel()
        show.say("all webhooks are answered; waiting for the runs to close")
        still_open = await _until_closed(world, show, starts)
        show.say("comparing what the sender was told, what the services did and what RCO wrote down")
        await world.export(world.folder / "evidence.jsonl")
        return await asyncio.to_thread(judge, world.folder, still_open)


def judge(folder: Path, still_open: int = 0) -> Result:
    """Read the three records that a demo left in ``folder``, compare them, and check the evidence offline."""
    told = read_told(folder / "sender.jsonl")
    effects, seen = read_services(folder / "ledgers")
    evidence = folder / "evidence.jsonl"
    verified, verdict = _check(evidence)
    try:
        with evidence.open("rb") as lines:
            found = read_evidence(lines)
    except ValueError as problem:
        found, verified, verdict = Evidence({}, []), False, str(problem)
    return Result(told, effects, seen, found, compare(told, effects, found), verified, verdict, still_open)


async def _first(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Wait for ``event``; if ``task`` ends first, raise what ended it."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await task


async def _watch(world: World, show: _Show, starts: Callable[[], int]) -> None:
    """Show how many runs are open, also over the kill."""
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            show.runs(starts(), await _open_runs(world))
        await asyncio.sleep(0.5)


async def _open_runs(world: World) -> int:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
        counts: dict[str, int] = (await world.info(client))["open_runs"]
        return sum(counts.values())


async def _until_closed(world: World, show: _Show, starts: int) -> int:
    """Wait until no run is open. Returns how many still are when time is up."""
    deadline = time.monotonic() + CLOSED_WITHIN_S
    while True:
        still_open = await _open_runs(world)
        show.runs(starts, still_open)
        if not still_open or time.monotonic() > deadline:
            return still_open
        await asyncio.sleep(0.25)


def _check(evidence: Path) -> tuple[bool, str]:
    """The offline check, in a process that has nothing but the file."""
    done = subprocess.run(
        [sys.executable, "-m", "rco.audit.verify", "--complete", str(evidence)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    facts = [" ".join(line.split()) for line in (done.stdout or done.stderr).splitlines() if line.strip()]
    if done.returncode:
        return False, facts[0] if facts else f"exit status {done.returncode}"
    return True, ", ".join(fact.split(" (")[0] for fact in facts if fact.startswith(("links", "decisions", "segments")))


def main(keep: bool = False, orders: int = 240, folder: Path = FOLDER, seed: int = SEED) -> int:
    """Run the demo in ``folder``, which is emptied first. 0: the three records agree and the evidence verifies.

    With ``keep`` everything is left running, and where to find it is printed.
    """
    console = Console()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"[red]demo: another one is running in {folder}; wait for it to end[/red]", soft_wrap=True)
            return 1
        return _demo(console, keep, orders, folder, seed)


def _demo(console: Console, keep: bool, orders: int, folder: Path, seed: int) -> int:
    stop_kept(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keys = Keys("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(), secrets.token_hex(32))
    world = World(folder, keys, seed)
    kept = False
    try:
        result = asyncio.run(run_demo(world, console, orders=orders))
        print_report(console, result)
        if keep:
            world.leave()
            kept = True
            _print_places(console, world)
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, OSError, aiohttp.ClientError, subprocess.TimeoutExpired) as problem:
        console.print(f"[red]demo: {problem}[/red]", soft_wrap=True)
        return 1
    finally:
        if not kept:
            world.stop()
    console.print("[green]passed[/green]" if result.passed else "[bold red]FAILED[/bold red]")
    return 0 if result.passed else 1


def _print_places(console: Console, world: World) -> None:
    console.print("\nleft running:", soft_wrap=True)
    for name, place in {
        "webhooks": f"{world.base_url}/webhooks/shop and /webhooks/forge",
        "control API": f"{world.base_url}/v1/runs (description: /v1/openapi.json)",
        "metrics": f"http://127.0.0.1:{world.metrics_port}/metrics",
        "token": str(world.token_file),
        **world.service_urls,
        "records": str(world.folder),
        "look around": f"RCO_DATA_DIR={world.token_file.parent} rco run list",
        "stop with": f"kill {' '.join((world.folder / 'kept.pids').read_text().split())}",
    }.items():
        console.print(f"  {name:<12} {place}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.orders.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--orders", type=int, default=240, help="how many orders; the rest comes in proportion")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    sys.exit(main(chosen.keep, chosen.orders, chosen.folder, chosen.seed))
