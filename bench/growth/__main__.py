"""``python -m bench.growth [--most N] [--store NAME] [--docs FOLDER] [--out FILE] [--folder DISK] [CURVE...]``."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.growth.curve import Point
from bench.growth.curves import NAMES, curve
from bench.growth.page import Grown, write_page
from bench.machine import facts, load
from bench.question import STORES
from bench.server import postgres

__all__ = ["main"]

_ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """0 when every curve could be taken, 1 when one could not (what was found of it is kept), 2 for a wrong command."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="How cost grows with work.")
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--most", type=int, default=10**9, help="leave larger sizes out")
    parser.add_argument("--store", choices=[*STORES, "both"], default="both", help="where the rows go (default: both)")
    parser.add_argument("--docs", type=Path, default=_ROOT / "docs", help="where performance.md is (default: docs)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the points as a JSON list of objects as well")
    parser.add_argument("--folder", type=Path, default=Path(".rco"), help="on the disk to be measured (default: .rco)")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.curves if name not in NAMES]
    if unknown:
        parser.error(f"no curve {unknown[0]!r}; there are: {', '.join(NAMES)}")
    if given.out is not None and not given.out.parent.is_dir():
        parser.error(f"{given.out} cannot be written: there is no folder {given.out.parent}")
    stores = STORES if given.store == "both" else (given.store,)
    pictures = given.docs / "performance"
    pictures.mkdir(parents=True, exist_ok=True)
    kept = pictures / "growth.json"
    grown = msgspec.json.decode(kept.read_bytes(), type=list[Grown]) if kept.exists() else []
    given.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="growth-", dir=given.folder)).resolve()
    failed = []
    try:
        with ExitStack() as stack:
            server = stack.enter_context(postgres(folder)) if "postgresql" in stores else ""
            for name in given.curves or NAMES:
                for store in stores:
                    sizes = [size for size in curve(name).sizes if size <= given.most]
                    if store not in curve(name).stores or not sizes:
                        continue
                    machine = {**facts(folder), "load_before": load()}
                    began = time.monotonic()
                    sys.stderr.write(f"{name} on {store}: {', '.join(str(size) for size in sizes)}\n")
                    points, problem = _points(name, store, folder / f"{name}-{store}", server, sizes)
                    machine |= {"load_after": load(), "took_s": round(time.monotonic() - began)}
                    if problem:
                        failed.append(f"{name} on {store}: {problem}")
                    if points:
                        grown = [one for one in grown if (one.curve, one.store) != (name, store)]
                        grown += [_grown(name, store, point, machine) for point in points]
                        # Each curve is kept as soon as it is there: a long command may be broken off.
                        kept.write_bytes(_json(grown))
                        write_page(given.docs / "performance.md", pictures, grown)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.out is not None:
        given.out.write_bytes(_json(grown))
    for one in failed:
        sys.stderr.write(f"growth: {one}\n")
    return 1 if failed else 0


def _points(name: str, store: str, folder: Path, server: str, sizes: list[int]) -> tuple[list[Point], str]:
    """What the curve gave, and why there is not more of it."""
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.growth.one", name, str(folder), store, server, "1", *map(str, sizes)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        points = list(_told(process))
        _, words = process.communicate()
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return points, words.strip()[-2000:] if process.returncode else ""


def _told(process: subprocess.Popen[str]) -> Iterator[Point]:
    assert process.stdout is not None
    for line in process.stdout:
        point = msgspec.json.decode(line, type=Point)
        sys.stderr.write(f"  {point.x}: {point.line} {point.value:.4g}\n")
        yield point


def _grown(name: str, store: str, point: Point, machine: dict[str, object]) -> Grown:
    line = next(one for one in curve(name).lines if one.name == point.line)
    return Grown(
        question=f"growth-{name}-{point.line}",
        curve=name,
        line=point.line,
        store=store,
        x=point.x,
        value=point.value,
        unit=line.unit,
        cpu_s_per_1000=point.cpu_s_per_1000,
        settings=point.settings | {curve(name).x: point.x},
        machine=machine,
    )


def _json(grown: list[Grown]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(grown), indent=1) + b"\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
