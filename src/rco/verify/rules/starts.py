"""(a) An acknowledged start closes at most once and, once the faults have stopped, exactly once with one outcome."""

from __future__ import annotations

from collections import Counter, defaultdict

from rco.verify.case import Case, Run
from rco.verify.rules.ticks import Ticks
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Starts"]

TITLE = "starts close exactly once"
OUTCOMES = frozenset({"completed", "failed", "cancelled", "terminated"})


class Starts:
    """Looks at every run of the export, and at what the client was told of starts and deliveries."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._ticks = Ticks(self._found)
        self._workflow: dict[str, str] = {}
        self._open: set[str] = set()
        self._begun: dict[str, Counter[str]] = defaultdict(Counter)
        """Workflows by the event that began them."""

    def take(self, run: Run) -> None:
        line, found = run.line, self._found
        self._ticks.take(run)
        if line.id in self._workflow:
            found.add(f"{run.name} stands in the export twice")
        self._workflow[line.id] = line.workflow
        if self._case.gone(run):
            return
        if run.encrypted:
            if line.outcome is None:
                self._open.add(line.id)
            return
        starts, closes = run.of("START"), run.of("CLOSE")
        if len(starts) != 1 or run.records[0] is not starts[0]:
            found.add(f"{run.name} has {len(starts)} START records, and must begin with one")
        elif event := str(starts[0].body.get("event_id", "")):
            self._begun[event][line.workflow] += 1
        if len(closes) > 1:
            outcomes = ", ".join(str(close.body.get("outcome")) for close in closes)
            found.add(f"{run.name} closed {len(closes)} times: {outcomes}")
        elif closes and run.records[-1] is not closes[0]:
            found.add(f"{run.name} goes on after its CLOSE")
        if closes:
            outcome = str(closes[0].body.get("outcome"))
            if outcome not in OUTCOMES:
                found.add(f"{run.name} closed as {outcome!r}, which is no outcome")
            if line.outcome != outcome:
                found.add(f"{run.name} closed as {outcome}, but is listed as {line.outcome or line.state}")
        elif line.outcome is not None:
            found.add(f"{run.name} is listed as {line.outcome}, but its journal has no CLOSE")
        else:
            self._open.add(line.id)

    def finish(self) -> RuleVerdict:
        case, found = self._case, self._found
        if case.options.settled:
            for run_id in sorted(self._open):
                found.add(f"run {run_id} of {self._workflow[run_id]} is still open, and nothing more is to come")
        ticks = f", {self._ticks.count} ticks" if self._ticks.count else ""
        if case.client is None:
            return found.verdict(
                "a", TITLE, Result.UNKNOWN, f"{len(self._workflow)} runs looked at{ticks}, no client log"
            )
        starts = self._starts()
        deliveries = self._deliveries()
        evidence = f"{starts} acknowledged starts, {deliveries} deliveries, {len(self._workflow)} runs{ticks}"
        if self._open and not case.options.settled:
            evidence += f"; {len(self._open)} still open (--settled demands that none is)"
        nothing = not starts and not deliveries
        return found.verdict("a", TITLE, Result.NOT_APPLICABLE if nothing else Result.PASS, evidence)

    def _starts(self) -> int:
        by_key: dict[tuple[str, str], list[str]] = defaultdict(list)
        created: Counter[tuple[str, str]] = Counter()
        keyless = 0
        for place, asked in enumerate(self._case.asked("start", "acknowledged")):
            keyless += not asked.name
            key = (asked.namespace, asked.name or f"(without a key, {place})")
            by_key[key].append(asked.run_id)
            created[key] += bool(asked.created)
            if asked.run_id not in self._workflow and self._case.dropped(asked.run_id):
                continue
            if asked.run_id not in self._workflow:
                self._found.add(f"start {key[1]} was acknowledged as run {asked.run_id}, which is not there")
            elif asked.workflow and asked.workflow != self._workflow[asked.run_id]:
                self._found.add(
                    f"start {key[1]} asked for {asked.workflow}, but run {asked.run_id} is of "
                    f"{self._workflow[asked.run_id]}"
                )
        for key, run_ids in by_key.items():
            if len(set(run_ids)) > 1:
                self._found.add(f"start {key[1]} was acknowledged as {len(set(run_ids))} runs: {_few(run_ids)}")
            if created[key] > 1:
                self._found.add(f"start {key[1]} was acknowledged as new {created[key]} times")
        owners = Counter(run_ids[0] for run_ids in by_key.values())
        for run_id, count in owners.items():
            if count > 1:
                self._found.add(f"run {run_id} was given to {count} different start keys")
        return len(by_key)

    def _deliveries(self) -> int:
        told: dict[str, set[str]] = defaultdict(set)
        cut: set[str] = set()
        for asked in self._case.asked("deliver", "acknowledged"):
            told[asked.name].update(asked.workflows)
            at_us = asked.ended_us or asked.began_us
            if at_us is None or self._case.begun_before_cut(at_us - self._case.options.skew_us):
                cut.add(asked.name)
        for name, workflows in told.items():
            accepted = self._case.accepted[name]
            if accepted != 1 and not (accepted == 0 and self._case.checkpoints.links and name in cut):
                self._found.add(f"delivery {name} was acknowledged, and accepted {self._case.accepted[name]} times")
            for workflow in sorted(workflows):
                if self._case.encrypted:
                    # One of them may be it; which event began it stands in its journal.
                    continue
                if (count := self._begun[name][workflow]) != 1:
                    self._found.add(f"delivery {name} was acknowledged, and began {count} runs of {workflow}")
        return len(told)


def _few(ids: list[str]) -> str:
    several = sorted(set(ids))
    return ", ".join(several[:4]) + (", ..." if len(several) > 4 else "")
