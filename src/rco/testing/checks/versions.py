"""Runs are pinned: whatever moves them, all they did is what the code of their version does."""

from __future__ import annotations

from collections.abc import Iterator

from rco.engine.program import Programs
from rco.engine.rehearsing import rehearse
from rco.model.journal import Kind
from rco.model.run import Outcome
from rco.model.version import is_pin
from rco.testing.checks.history import History
from rco.testing.workloads import pool_of_programs

__all__ = ["pinned"]


def pinned(history: History) -> Iterator[str]:
    """The row of a run names the version that its START and VERSION records lead to; its whole journal replays on that
    code, to the end it came to; and every move that was acknowledged stands in it, at most once."""
    if not history.plan.versions:
        return
    pool = pool_of_programs(None)
    programs = Programs(next(iter(pool.values())), pool)
    for run in history.runs.values():
        version = str(run.start.get("version", ""))
        for move in run.of(Kind.VERSION):
            if move.body["from"] != version:
                yield f"{run.name} was moved from {move.body['from']}, it was of {version}"
            version = move.body["to"]
        if run.row.version != version:
            yield f"{run.name} is of version {run.row.version}, its journal says {version}"
        if not is_pin(version):
            yield f"{run.name} is pinned to nothing"
        if run.row.outcome in (Outcome.COMPLETED, Outcome.FAILED):
            fit = rehearse(programs, run.row, run.records)
            if not fit.fits:
                yield f"{run.name} of version {version} does not fit it: {fit.why} {fit.diff}"
    for asked in history.log:
        if asked.verb == "move" and asked.acknowledged and not history.rewinds:
            moves = history.runs[asked.run_id].of(Kind.VERSION)
            count = sum(move.body["move"] == asked.name for move in moves)
            if count != 1:
                yield f"move {asked.name} was acknowledged and stands {count} times in its run"
