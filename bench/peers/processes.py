"""What processes use and how they are ended. With the standard library alone: it runs in the peers' environments."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["end", "free_port", "spawn", "tree", "tree_cpu_s", "until"]

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: Iterable[int]) -> set[int]:
    """These processes and all below them."""
    return set(_below(roots))


def tree_cpu_s(roots: Iterable[int]) -> float:
    """CPU seconds, user and system, of these processes, of all below them, and of those below that have ended.

    What a process that was waited for had used is in its parent's count, so nothing short-lived is missed.
    """
    return sum(_below(roots).values())


def _below(roots: Iterable[int]) -> dict[int, float]:
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(name))
        used[int(name)] = sum(map(int, fields[11:15])) / _TICKS
    found: dict[int, float] = {}
    left = list(roots)
    while left:
        pid = left.pop()
        if pid in used and pid not in found:
            found[pid] = used[pid]
            left += parents.get(pid, [])
    return found


def spawn(
    command: Sequence[str], *, log: Path, cwd: Path | str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A process in a group of its own, its words in ``log``."""
    with log.open("ab") as words:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes] | None, by: int = signal.SIGKILL) -> None:
    """End the group of ``process`` and wait for it. Nothing happens when it is gone already."""
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, by)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


async def until(
    true: Callable[[], bool], what: str, *, limit_s: float = 30.0, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait until ``true()``, looking every 5 ms. Raises ``TimeoutError``, and ``ChildProcessError`` when ``process``
    ended meanwhile."""
    give_up = time.monotonic() + limit_s
    while not true():
        if process is not None and process.poll() is not None:
            raise ChildProcessError(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        await asyncio.sleep(0.005)
