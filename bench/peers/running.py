"""Asking: every peer, round by round, each in a process of its own, with a PostgreSQL of this run beside them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from bench.machine import file_system
from bench.peers.asking import SUITES
from bench.peers.contract import Peer, Place, Unavailable
from bench.peers.processes import spawn, tree
from bench.peers.report import Heard, asks, heard
from bench.server import postgres

__all__ = ["Run", "adopt_orphans", "measure"]

_ROOT = Path(__file__).parents[2]
_LIMIT_S = {"load": 300, "recovery": 240, "webhooks": 120}
_RECOVERIES = 2
"""Rounds that ask for it: it is slow, and a kill falls where it falls."""
_SUBREAPER = 36


class Run(msgspec.Struct, frozen=True):
    """What a run heard: answers, why some peers could not be asked, which versions answered, PostgreSQL's facts, and
    how many rounds there was time for."""

    answers: list[Heard]
    unavailable: dict[str, str]
    versions: dict[str, dict[str, str]]
    postgres: dict[str, str]
    rounds: int


class _Ready(msgspec.Struct, frozen=True):
    module: str
    peer: Peer
    binaries: str
    tools: dict[str, str]


def adopt_orphans() -> None:
    """Make this process the parent of what its children leave behind, so that it can be ended (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def measure(
    peers: Sequence[tuple[str, Peer]],
    questions: Sequence[str],
    *,
    rounds: int,
    limit_s: float,
    scale: float,
    cache: Path,
    folder: Path,
    tell: Callable[[str], None],
) -> Run:
    """``peers`` with the name of their file. Installs what is missing, then asks. No round is begun that would end
    after ``limit_s`` of asking, the first apart. ``tell`` hears of each step beforehand."""
    ready: list[_Ready] = []
    unavailable: dict[str, str] = {}
    answers: list[Heard] = []
    versions: dict[str, dict[str, str]] = {}
    for module, peer in peers:
        tell(f"preparing {peer.text}")
        try:
            one = _Ready(module, peer, *peer.prepare(cache))
            versions[peer.name] = {name: _version(tool) for name, tool in one.tools.items()}
            ready.append(one)
        except Unavailable as problem:
            unavailable[peer.name] = str(problem)
    with contextlib.ExitStack() as stack:
        server = ""
        if any(one.peer.needs_postgres for one in ready):
            try:
                server = stack.enter_context(postgres(folder))
            except (AssertionError, OSError, subprocess.CalledProcessError) as problem:
                without = [one for one in ready if one.peer.needs_postgres]
                unavailable |= {one.peer.name: f"PostgreSQL could not be started: {problem}"[:300] for one in without}
                ready = [one for one in ready if not one.peer.needs_postgres]
        began, done = time.monotonic(), 0
        for number in range(rounds):
            if number and (time.monotonic() - began) * (number + 1) / number > limit_s:
                tell(f"no time for a round {number + 1}")
                break
            # Another one goes first each time: what a round leaves behind meets each alike.
            first = number % max(1, len(ready))
            for suite, names in SUITES.items():
                for one in ready[first:] + ready[:first]:
                    peer = one.peer
                    wanted = [
                        name for name in names if name in questions and asks(peer, name) and name not in peer.declines
                    ]
                    most = min(peer.rounds_max, peer.recoveries if suite == "recovery" else rounds)
                    if wanted and number < most:
                        tell(f"round {number + 1} of {rounds}: {peer.text}, {', '.join(wanted)}")
                        for line in _child(one, suite, folder / f"{peer.name}-{suite}-{number}", wanted, scale, server):
                            if "versions" in line:
                                versions[peer.name] |= line["versions"]
                            else:
                                answers += _heard(peer.name, number, line)
            done += 1
        return Run(answers, unavailable, versions, _facts(server) if server else {}, done)


def _put(peer: Peer, question: str) -> bool:
    return asks(peer, question) and question not in peer.declines


def _heard(peer: str, number: int, line: dict[str, Any]) -> list[Heard]:
    """What a child said; what is no answer counts as a failure of that peer alone."""
    try:
        return heard(peer, number, line)
    except (KeyError, TypeError, ValueError) as problem:
        return heard(peer, number, {"question": str(line.get("question")), "failed": f"no answer: {problem}"})


def _child(
    ready: _Ready, suite: str, folder: Path, wanted: list[str], scale: float, server: str
) -> list[dict[str, Any]]:
    """What one process of a peer said; for each question it did not answer, why."""
    peer = ready.peer
    database = _database(server) if peer.needs_postgres else ""
    pid = _pid(server) if server else 0
    folder.mkdir()
    place = Place(
        peer=peer.name,
        folder=str(folder),
        binaries=ready.binaries,
        tools={**ready.tools, "sender": sys.executable},
        postgres=database,
        postgres_pid=pid if database else 0,
    )
    told = (json.dumps(asdict(place)), json.dumps(asdict(peer.counts.scaled(scale))), json.dumps(wanted))
    command = [f"{ready.binaries}/python", "-m", "bench.peers.child", ready.module, suite, *told]
    log, said = folder / "child.log", folder / "answers"
    child = spawn(command, log=log, cwd=_ROOT, env={"PYTHONHASHSEED": "0"})
    why = ""
    try:
        child.wait(_LIMIT_S[suite])
    except subprocess.TimeoutExpired:
        why = f"did not end within {_LIMIT_S[suite]} s"
    finally:
        _sweep(keep={pid} if pid else set())
        child.wait()
    lines = [json.loads(line) for line in said.read_text().splitlines()] if said.exists() else []
    words = log.read_text(errors="replace").strip().splitlines()
    why = why or f"ended with {child.returncode}: {words[-1] if words else 'no word'}"[:300]
    shutil.rmtree(folder, ignore_errors=True)
    answered = {line.get("question") for line in lines}
    return [*lines, *({"question": one, "failed": why} for one in wanted if one not in answered)]


def _version(program: str) -> str:
    """What a server says of itself; Temporal's command line has a version of its own beside the server's."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"server v?=?(\d[\w.+-]*)", done.stdout + done.stderr, re.IGNORECASE)
    return found[1] if found else "unknown"


def _sweep(keep: set[int]) -> None:
    """End all that is left below this process, but for the trees in ``keep``."""
    kept = tree(keep)
    for pid in tree([os.getpid()]) - kept - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _query(dsn: str, sql: str) -> str:
    """Runs one statement; gives the first value of its first row as text."""

    async def ask() -> str:
        connection = await asyncpg.connect(dsn)
        try:
            return str(await connection.fetchval(sql))
        finally:
            await connection.close()

    return asyncio.run(ask())


def _pid(dsn: str) -> int:
    """The first process of the server, which is on this machine."""
    return int((Path(_query(dsn, "SHOW data_directory")) / "postmaster.pid").read_text().splitlines()[0])


def _database(dsn: str) -> str:
    """A new, empty database, with nothing of the last one left to be written."""
    for statement in ("DROP DATABASE IF EXISTS peer WITH (FORCE)", "CREATE DATABASE peer", "CHECKPOINT"):
        _query(dsn, statement)
    return f"{dsn.rpartition('/')[0]}/peer"


def _facts(dsn: str) -> dict[str, str]:
    names = ("server_version", "synchronous_commit", "fsync", "wal_sync_method", "full_page_writes", "shared_buffers")
    folder = Path(_query(dsn, "SHOW data_directory"))
    return {**{name: _query(dsn, f"SHOW {name}") for name in names}, "file_system": file_system(folder)}
