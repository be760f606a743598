"""``python -m bench [--out FILE] [--rounds N] [--scale X] [--folder DISK] [--store NAME]
[QUESTION...]``."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.figure import Figure, summed_up
from bench.machine import facts, load
from bench.question import STORES
from bench.questions import EVERY, NAMES, question
from bench.rounds import BenchFailed, pairs, rounds_of, with_raw
from bench.server import postgres
from bench.show import as_json, show

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """0 when every figure could be taken, whatever it is; 1 when one could not, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="The figures of this machine.")
    parser.add_argument(
        "questions", nargs="*", metavar="QUESTION", help=f"of: {', '.join(EVERY)} (default: what make bench asks)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as a JSON list of objects")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of each question; medians are shown (default: 2)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of a round; 1 is the published size")
    parser.add_argument("--folder", type=Path, default=Path(".rco"), help="on the disk to be measured (default: .rco)")
    parser.add_argument("--store", choices=[*STORES, "both"], default="both", help="where the rows go (default: both)")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.questions if name not in EVERY]
    if unknown:
        parser.error(f"no question {unknown[0]!r}; there are: {', '.join(EVERY)}")
    if given.rounds < 1 or not 0 < given.scale <= 40:
        parser.error("give at least one round, and a scale above 0 and up to 40")
    if given.out is not None and not given.out.parent.is_dir():
        parser.error(f"{given.out} cannot be written: there is no folder {given.out.parent}")
    stores = STORES if given.store == "both" else (given.store,)
    asked = pairs(with_raw(given.questions or NAMES), stores)
    # Not on a terminal the table is read by somebody who can scroll.
    console = Console(width=None if sys.stdout.isatty() else 160)
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=given.folder)).resolve()
    machine = {**facts(folder), "load_before": load()}
    took_s: dict[str, float] = {}
    began_s = time.monotonic()
    try:
        with console.status("measuring") as status, contextlib.ExitStack() as stack:
            server = ""
            if any(store == "postgresql" for _, store in asked):
                status.update("starting PostgreSQL")
                server = stack.enter_context(postgres(folder))
            found = rounds_of(
                asked,
                rounds=given.rounds,
                scale=given.scale,
                folder=folder,
                server=server,
                took=lambda name, seconds: took_s.update({name: took_s.get(name, 0.0) + seconds}),
                tell=lambda number, name, store: status.update(
                    f"round {number + 1} of {given.rounds}: {name}, {store}"
                ),
            )
    except BenchFailed as problem:
        sys.stderr.write(f"bench: {problem}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine["load_after"] = load()
    machine["scale"] = given.scale
    machine["took_s"] = {name: round(took_s[name], 1) for name in sorted(took_s, key=lambda one: -took_s[one])}
    machine["took_all_s"] = round(time.monotonic() - began_s, 1)
    figures: list[Figure] = [
        summed_up(
            line,
            found[line.name, store],
            found.get((line.against, store)) or found.get((line.against, "-")) or [],
            store=store,
            machine=machine,
        )
        for name, store in asked
        for line in question(name).asked
        if (line.name, store) in found
    ]
    show(console, figures, machine)
    if given.out is not None:
        given.out.write_bytes(as_json(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
