"""Running rounds: interleaved, each in a process of its own, in a folder of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from bench.figure import Measured
from bench.forks import Failed, forked
from bench.one import answer
from bench.questions import EVERY, question

__all__ = ["BenchFailed", "Found", "pairs", "rounds_of", "with_raw"]

LIMIT_S = 180
Found = dict[tuple[str, str], list[Measured]]
"""Every round of a line, by its name and its store."""


class BenchFailed(Exception):
    """A round could not be measured; there is no figure then, rather than a wrong one."""


def with_raw(names: Sequence[str]) -> list[str]:
    """``names`` with the raw limits that their lines are held against, in the order of the table."""
    limits = {asked.name: name for name in EVERY if question(name).raw for asked in question(name).asked}
    wanted = {limits[asked.against] for name in names for asked in question(name).asked if asked.against} | set(names)
    return [name for name in EVERY if name in wanted]


def pairs(names: Sequence[str], stores: Sequence[str]) -> list[tuple[str, str]]:
    """Each of ``names`` with each of ``stores`` that it can be asked of, or with ``-``, store after store."""
    found = [(name, "-") for name in names if question(name).stores == ("-",)]
    return found + [(name, store) for store in stores for name in names if store in question(name).stores]


def rounds_of(
    asked: Sequence[tuple[str, str]],
    *,
    rounds: int,
    scale: float,
    folder: Path,
    server: str,
    tell: Callable[[int, str, str], None],
    took: Callable[[str, float], None] = lambda *_: None,
) -> Found:
    """Every round of every question. ``server`` is the address of the PostgreSQL to measure on. ``tell`` hears of each
    round before it begins, ``took`` of how many seconds it lasted.

    Raises ``BenchFailed`` with the last words of a round that failed.
    """
    found: Found = {}
    for number in range(rounds):
        due = [(name, store) for name, store in asked if number < question(name).rounds_max]
        for name, store in due:
            if (question(name).alongside, store) in due:
                continue
            together = [name, *(one for one, where in due if where == store and question(one).alongside == name)]
            tell(number, ", ".join(together), store)
            began_s = time.perf_counter()
            with ThreadPoolExecutor(len(together)) as threads:
                rounds_now = [
                    threads.submit(one_round, one, store, folder / f"{one}-{number}", scale, server) for one in together
                ]
            for each in rounds_now:
                for measured in each.result():
                    found.setdefault((measured.name, store), []).append(measured)
            took(name, time.perf_counter() - began_s)
    return found


def one_round(
    name: str, store: str, folder: Path, scale: float, server: str, limit_s: float = LIMIT_S
) -> list[Measured]:
    """One round in a process of its own; a larger one may take longer. Raises ``BenchFailed``."""
    folder.mkdir(parents=True)
    limit_s *= max(1.0, scale)
    try:
        said = forked(answer, (name, str(folder), scale, store, server), folder / "said", limit_s)
        return msgspec.json.decode(said, type=list[Measured])
    except TimeoutError:
        raise BenchFailed(f"{name} on {store} took longer than {limit_s:g} s") from None
    except Failed as failed:
        raise BenchFailed(f"{name} on {store} failed: {failed}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
