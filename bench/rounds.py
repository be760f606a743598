"""Running rounds: interleaved, each in a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.figure import Measured
from bench.questions import NAMES, question

__all__ = ["BenchFailed", "rounds_of", "with_raw"]

_ROOT = Path(__file__).parent.parent
_LIMIT_S = 180


class BenchFailed(Exception):
    """A round could not be measured; there is no figure then, rather than a wrong one."""


def with_raw(names: Sequence[str]) -> list[str]:
    """``names`` with the raw limits that their lines are held against, in the order of the table."""
    limits = {asked.name: name for name in NAMES if question(name).raw for asked in question(name).asked}
    wanted = {limits[asked.against] for name in names for asked in question(name).asked if asked.against} | set(names)
    return [name for name in NAMES if name in wanted]


def rounds_of(
    names: Sequence[str], *, rounds: int, scale: float, folder: Path, tell: Callable[[int, str], None]
) -> dict[str, list[Measured]]:
    """Every round of every question, by the name of the line. ``tell`` hears of each before it begins.

    Raises ``BenchFailed`` with the last words of a round that failed.
    """
    found: dict[str, list[Measured]] = {}
    for number in range(rounds):
        for name in names:
            if number < question(name).rounds_max:
                tell(number, name)
                for measured in _one(name, folder / f"{name}-{number}", scale):
                    found.setdefault(measured.name, []).append(measured)
    return found


def _one(name: str, folder: Path, scale: float) -> list[Measured]:
    folder.mkdir(parents=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.one", name, str(folder), str(scale)],
            cwd=_ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchFailed(f"{name} took longer than {_LIMIT_S} s") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if done.returncode:
        raise BenchFailed(f"{name} failed: {done.stderr.strip()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=list[Measured])
