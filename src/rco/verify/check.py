"""The check: one pass over the export, each rule shown every run once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from rco.verify.case import Case, Ledger, Rule, Run
from rco.verify.lines import (
    FORMAT,
    Asked,
    End,
    ExportLine,
    Header,
    KeyLine,
    Link,
    Node,
    RecordLine,
    RunLine,
    SegmentLine,
    Unread,
)
from rco.verify.options import Options, TargetLimits
from rco.verify.records import record_lines
from rco.verify.rules.chain import Chain
from rco.verify.rules.effects import Effects
from rco.verify.rules.fairness import Fairness
from rco.verify.rules.journals import Journals
from rco.verify.rules.limits import RateLimits
from rco.verify.rules.reads import Reads
from rco.verify.rules.signals import Signals
from rco.verify.rules.starts import Starts
from rco.verify.rules.timers import Timers
from rco.verify.sealed import Keys, NoKey
from rco.verify.sources import Unreadable
from rco.verify.verdict import BLIND, Result, RuleVerdict, Verdict

__all__ = ["check"]


class _Walk:
    """Takes the lines of an export in their order and hands out whole runs."""

    def __init__(self, case: Case, chain: Chain, rules: list[Rule], keys: Keys) -> None:
        self._case, self._chain, self._rules, self._keys = case, chain, rules, keys
        self._of_encrypted = [rule for rule in rules if isinstance(rule, (Starts, Journals, Chain))]
        self._run: Run | None = None
        self.runs = self.segments = self.records = self.messages = self.links = 0
        self.opened = self.hidden = 0
        self.unseen: Counter[str] = Counter()
        """By why they could not be looked into, how many runs."""
        self.locked = 0
        """Of those, how many a key would open."""

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
            case KeyLine():
                self._keys.take(line)
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
            self._open(run)
        if run.encrypted:
            # What happened in it is nobody's to read; that it is there, whole and sealed, can be seen all the same.
            self._case.encrypted.add(run.line.id)
        for rule in self._of_encrypted if run.encrypted else self._rules:
            rule.take(run)

    def _open(self, run: Run) -> None:
        """Put the records of encrypted segments in their places, if all of them open."""
        found: list[RecordLine] = []
        try:
            for segment in run.segments:
                if segment.encrypted:
                    found += record_lines(segment, self._keys.records(segment))
        except NoKey as problem:
            self.unseen[problem.why] += 1
            self.locked += not problem.for_good
            self.hidden += sum(segment.records for segment in run.segments if segment.encrypted)
        except ValueError as problem:
            run.broken.append(f"segment {segment.first_seq}: {problem}")
            self.unseen["it does not open under its key"] += 1
        else:
            self.opened += 1
            run.opened = True
            run.records = sorted([*run.records, *found], key=lambda record: record.seq)

    def end(self) -> None:
        self._whole()


def check(
    export: Iterable[ExportLine],
    *,
    client: Iterable[Asked] | None = None,
    ledger: Ledger | None = None,
    targets: dict[str, TargetLimits] | None = None,
    options: Options | None = None,
    keyring: Mapping[str, bytes] | None = None,
) -> Verdict:
    """Check an export against what the client and the targets wrote down; what is not given leaves rules UNKNOWN.

    Holds the client's log, the ledger, and a line for each commit and segment in memory, the journals run by run.
    ``keyring``: root secrets by name; with them it looks into runs whose journals are encrypted, where the export has
    their bytes and wrapped keys. What it could not look into is counted, and no rule that had to pass it over is PASS.
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
    walk = _Walk(case, chain, wanted, Keys(keyring))
    for line in export:
        walk.take(line)
    walk.end()
    if case.header is None:
        raise Unreadable("the export is empty")
    return Verdict(
        rules=tuple(_honest(rule.finish(), walk) for rule in wanted),
        runs=walk.runs,
        records=walk.records,
        encrypted=len(case.encrypted),
        opened=walk.opened,
        hidden=walk.hidden,
        unseen=dict(sorted(walk.unseen.items())),
        links=walk.links,
        head=chain.head,
    )


def _honest(verdict: RuleVerdict, walk: _Walk) -> RuleVerdict:
    """What a rule says that had to pass runs over: what it found stands, but it does not hold for them."""
    if not walk.unseen or verdict.rule not in BLIND:
        return verdict
    result = verdict.result
    if walk.locked and result in (Result.PASS, Result.NOT_APPLICABLE):
        result = Result.UNKNOWN
    evidence = f"{verdict.evidence}; {walk.unseen.total()} encrypted runs not looked into"
    return msgspec.structs.replace(verdict, result=result, evidence=evidence)
