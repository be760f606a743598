"""``python -m bench [--out FILE] [--rounds N] [--scale X] [--folder DISK] [QUESTION...]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.figure import Figure, summed_up
from bench.machine import facts, load
from bench.questions import NAMES, question
from bench.rounds import BenchFailed, rounds_of, with_raw
from bench.show import as_json, show

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """0 when every figure could be taken, whatever it is; 1 when one could not, 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="The figures of this machine.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as a JSON list of objects")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each question; medians are shown (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of a round; 1 is the published size")
    parser.add_argument("--folder", type=Path, default=Path(".rco"), help="on the disk to be measured (default: .rco)")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.questions if name not in NAMES]
    if unknown:
        parser.error(f"no question {unknown[0]!r}; there are: {', '.join(NAMES)}")
    if given.rounds < 1 or not 0 < given.scale <= 10:
        parser.error("give at least one round, and a scale above 0 and up to 10")
    if given.out is not None and not given.out.parent.is_dir():
        parser.error(f"{given.out} cannot be written: there is no folder {given.out.parent}")
    names = with_raw(given.questions or NAMES)
    # Not on a terminal the table is read by somebody who can scroll.
    console = Console(width=None if sys.stdout.isatty() else 160)
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=given.folder)).resolve()
    machine = {**facts(folder), "load_before": load()}
    try:
        with console.status("measuring") as status:
            found = rounds_of(
                names,
                rounds=given.rounds,
                scale=given.scale,
                folder=folder,
                tell=lambda number, name: status.update(f"round {number + 1} of {given.rounds}: {name}"),
            )
    except BenchFailed as problem:
        sys.stderr.write(f"bench: {problem}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine["load_after"] = load()
    machine["scale"] = given.scale
    figures: list[Figure] = [
        summed_up(asked, found[asked.name], found.get(asked.against, []), store=question(name).store, machine=machine)
        for name in names
        for asked in question(name).asked
    ]
    show(console, figures, machine)
    if given.out is not None:
        given.out.write_bytes(as_json(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
