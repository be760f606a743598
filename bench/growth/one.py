"""``python -m bench.growth.one CURVE FOLDER STORE SERVER SCALE SIZE...``: one curve on one store; its points as JSON
lines on standard output, as they come."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import uvloop

from bench.growth.curve import Growing
from bench.growth.curves import curve

__all__ = ["main"]


async def _points(name: str, growing: Growing) -> None:
    async for point in curve(name).ask(growing):
        sys.stdout.write(msgspec.json.encode(point).decode() + "\n")
        sys.stdout.flush()


def main(name: str, folder: str, store: str, server: str, scale: str, *sizes: str) -> None:
    growing = Growing(
        sizes=[int(size) for size in sizes], folder=Path(folder), store=store, server=server, scale=float(scale)
    )
    uvloop.run(_points(name, growing))


if __name__ == "__main__":
    main(*sys.argv[1:])
