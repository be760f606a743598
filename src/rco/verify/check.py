"""The check: one pass over the export, each rule shown every run once."""

from __future__ import annotations

from collections.abc import Iterable

from rco.verify.case import Case, Ledger, Rule, Run
from rco.verify.lines import (
    FORMAT,
    Asked,
    End,
    ExportLine,
    Header,
    Link,
    Node,
    RecordLine,
    RunLine,
    SegmentLine,
    Unread,
)
from rco.verify.options import Options, TargetLimits
from rco.verify.rules.chain import Chain
from rco.verify.rules.effects import Effects
from rco.verify.rules.fairness import Fairness
from rco.verify.rules.journals import Journals
from rco.verify.rules.limits import RateLimits
from rco.verify.rules.reads import Reads
from rco.verify.rules.signals import Signals
from rco.verify.rules.starts import Starts
from rco.verify.rules.timers import Timers
from rco.verify.sources import Unreadable
from rco.verify.verdict import Verdict

__all__ = ["check"]


class _Walk:
    """Takes the lines of an export in their order and hands out whole runs."""

    def __init__(self, case: Case, chain: Chain, rules: list[Rule]) -> None:
        self._case, self._chain, self._rules = case, chain, rules
        self._of_encrypted = [rule for rule in rules if isinstance(rule, (Starts, Journals, Chain))]
        self._run: Run | None = None
        self.runs = self.segments = self.records = self.messages = self.links = 0

    def take(self, line: ExportLine) -> None:
        if isinstance(line, Header) != (self._case.header is None):
            raise Unreadable(f"the export must begin with the one header of {FORMAT}")
        match line:
            case RecordLine():
                self.records += 1
                self._of(line.run).records.append(line)
            case SegmentLine():
                self.segments += 1
                self._of(line.run).segments.append(line)
            case Unread():
                self.messages += 1
                self._of(line.run).unread.append(line)
            case RunLine():
                self._whole()
                self.runs += 1
                self._run = Run(line)
            case Link():
                self.links += 1
                self._case.take_link(line)
                self._chain.take_link(line)
            case Node():
                self._case.take_node(line)
            case Header():
                if line.format != FORMAT:
                    raise Unreadable(f"the format is {line.format[:40]!r}; this release reads {FORMAT}")
                self._case.header = line
            case End():
                self._whole()
                counted = End(self.runs, self.segments, self.records, self.messages, self.links)
                self._chain.take_end(line, counted)
            case _:
                pass

    def _of(self, run_id: str) -> Run:
        if self._run is None or self._run.line.id != run_id:
            raise Unreadable(f"a line of run {run_id[:40]} does not stand behind that run")
        return self._run

    def _whole(self) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if run.encrypted:
            # What happened in it is nobody's to read; that it is there, whole and sealed, can be seen all the same.
            self._case.encrypted.add(run.line.id)
        for rule in self._of_encrypted if run.encrypted else self._rules:
            rule.take(run)

    def end(self) -> None:
        self._whole()


def check(
    export: Iterable[ExportLine],
    *,
    client: Iterable[Asked] | None = None,
    ledger: Ledger | None = None,
    targets: dict[str, TargetLimits] | None = None,
    options: Options | None = None,
) -> Verdict:
    """Check an export against what the client and the targets wrote down; what is not given leaves rules UNKNOWN.

    Holds the client's log, the ledger, and a line for each commit and segment in memory, the journals run by run.
    Raises ``Unreadable`` for an export that is not one.
    """
    options = options or Options()
    case = Case(options, None if client is None else list(client), ledger, targets)
    chain = Chain(case)
    rules: dict[str, Rule] = {
        "a": Starts(case),
        "b": Signals(case),
        "c": Effects(case),
        "d": Journals(case),
        "e": Timers(case),
        "f": RateLimits(case),
        "g": Fairness(case),
        "h": chain,
        "i": Reads(case),
    }
    wanted = [rule for name, rule in rules.items() if name in options.rules]
    walk = _Walk(case, chain, wanted)
    for line in export:
        walk.take(line)
    walk.end()
    if case.header is None:
        raise Unreadable("the export is empty")
    return Verdict(
        rules=tuple(rule.finish() for rule in wanted),
        runs=walk.runs,
        records=walk.records,
        encrypted=len(case.encrypted),
        links=walk.links,
        head=chain.head,
    )
