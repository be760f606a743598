"""How long the help of the command line takes: what everybody waits for who types a command."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.figure import Asked, Measured, Reach
from bench.question import Question, Round

__all__ = ["QUESTION"]


async def _ask(_: Round) -> list[Measured]:
    began = time.perf_counter()
    told = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rco", "--help"), stdout=asyncio.subprocess.DEVNULL
    )
    status = await told.wait()
    help_s = time.perf_counter() - began
    assert status == 0, f"rco --help ended with {status}"
    return [Measured(name="help", value=help_s)]


QUESTION = Question(
    asked=(Asked(name="help", text="`rco --help`", unit="s", reach=Reach(0.15, at_most=True)),),
    ask=_ask,
    stores=("-",),
)
