"""How often the disk under us can be told to keep what it was given."""

from __future__ import annotations

from bench.figure import Asked, Measured
from bench.question import Question, Round
from rco.measure.limits import BLOCK_BYTES, flushes_per_s

__all__ = ["QUESTION"]


async def _ask(round: Round) -> list[Measured]:
    rate = flushes_per_s(round.folder, round.count(2_000, least=20))
    return [Measured(name="fsync", value=rate, settings={"block_bytes": BLOCK_BYTES, "pattern": "append"})]


QUESTION = Question(
    asked=(Asked(name="fsync", text="raw: appends of 4 KiB with fdatasync, one after the other", unit="/s"),),
    ask=_ask,
    raw=True,
    stores=("-",),
)
