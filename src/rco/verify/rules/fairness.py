"""(g) No queue key waits longer than deficit round robin lets it."""

from __future__ import annotations

from rco.verify.case import Case, Run
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Fairness"]

TITLE = "queues are fair"


class Fairness:
    """There are no queues in ``rco-export/1``, so there is nothing that this rule could be broken by."""

    def __init__(self, case: Case) -> None:
        del case

    def take(self, run: Run) -> None:
        """Nothing to look at."""

    def finish(self) -> RuleVerdict:
        return Findings().verdict("g", TITLE, Result.NOT_APPLICABLE, "this format knows no queues")
