"""How often the disk under us can be told to keep what it was given."""

from __future__ import annotations

import os
import time

from bench.figure import Asked, Measured
from bench.question import Question, Round

__all__ = ["QUESTION"]

_BLOCK = 4096


async def _ask(round: Round) -> list[Measured]:
    count = round.count(5_000, least=20)
    handle = os.open(round.folder / "fsync.bin", os.O_RDWR | os.O_CREAT)
    block = os.urandom(_BLOCK)
    try:
        began = time.perf_counter()
        for number in range(count):
            os.pwrite(handle, block, number * _BLOCK)
            os.fdatasync(handle)
        took_s = time.perf_counter() - began
    finally:
        os.close(handle)
    return [Measured(name="fsync", value=count / took_s, settings={"block_bytes": _BLOCK, "pattern": "append"})]


QUESTION = Question(
    asked=(Asked(name="fsync", text="raw: appends of 4 KiB with fdatasync, one after the other", unit="/s"),),
    ask=_ask,
    raw=True,
    store="-",
)
