"""(g) No queue key waits longer than deficit round robin lets it, and no level longer than one behind it."""

from __future__ import annotations

from rco.verify.case import Case, Run
from rco.verify.rules.queue_sweep import QueueRuns, sweep
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Fairness"]

TITLE = "queues are fair"


class Fairness:
    """Goes through the turns of each queue in their order. What was paused or cancelled while it waited is left out."""

    def __init__(self, case: Case) -> None:
        self._case, self._runs = case, QueueRuns()

    def take(self, run: Run) -> None:
        self._runs.take(run)

    def finish(self) -> RuleVerdict:
        found, turns = Findings(), len(self._case.turns)
        if not turns:
            return found.verdict("g", TITLE, Result.NOT_APPLICABLE, "no run had a turn in a queue")
        for what in sweep(self._case, self._runs.found)[1]:
            found.add(what)
        keys = len({(turn.queue, turn.key) for turn in self._case.turns})
        return found.verdict("g", TITLE, Result.PASS, f"{turns} turns of {keys} keys")
