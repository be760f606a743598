"""The bare group commit: what the store and this machine give when a row is only a row. See ``rco.measure.limits``."""

from __future__ import annotations

from bench.figure import Asked, Measured
from bench.question import BOTH, Question, Round
from rco.measure.asks import bare_rows

__all__ = ["QUESTION"]

_ROWS = {1: 2_000, 100: 40_000, 1000: 60_000}


async def _ask(round: Round) -> list[Measured]:
    measured = []
    for producers, rows in _ROWS.items():
        async with round.place() as place:
            rate = await bare_rows(place, producers, round.count(rows, least=producers))
        measured.append(
            Measured(
                name=f"bare-{producers}",
                value=rate.per_s,
                cpu_s_per_1000=rate.cpu_s_per_1000,
                settings=rate.settings,
            )
        )
    return measured


QUESTION = Question(
    asked=tuple(
        Asked(name=f"bare-{producers}", text=f"raw: rows by bare group commit, {producers} at a time", unit="/s")
        for producers in _ROWS
    ),
    ask=_ask,
    raw=True,
    stores=BOTH,
)
