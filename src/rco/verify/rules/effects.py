"""(c) A successful call had its effect, and had it more than once only if it was tried more than once."""

from __future__ import annotations

from rco.verify.case import Call, Case, Run
from rco.verify.digests import idempotency_key
from rco.verify.lines import RecordLine
from rco.verify.options import TargetLimits
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Effects"]

TITLE = "successful calls had their effect"


class Effects:
    """Joins steps to the target's ledger by idempotency key.

    Which target and method a call had stands in the decision of its commit. Where several calls of one run share a
    commit and differ in that, the step's name decides if it is the usual one; else only what the ledger has under the
    step's key is held against it.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._checked = self._apart = self._settled = 0

    def take(self, run: Run) -> None:
        settled = {record.key for record in run.of("SETTLED") if record.body.get("verdict") == "done"}
        ended: set[str] = set()
        copied = run.copied
        for record in run.of("STEP_END"):
            if record.key in ended:
                self._found.add(f"{run.name}: step {record.key} ended twice")
            ended.add(record.key)
            if not record.body.get("ok") or record.seq < copied:
                # The effect of a copied step is the other run's.
                continue
            if record.key in settled:
                self._settled += 1
            elif self._case.ledger is not None:
                self._step(run, record)

    def _step(self, run: Run, record: RecordLine) -> None:
        ledger = self._case.ledger
        assert ledger is not None
        key = idempotency_key(run.line.id, record.key)
        effects, seen = ledger.effects.get(key, 0), ledger.seen.get(key, 0)
        name = f"{run.name}: step {record.key}"
        if effects == 0:
            if self._must(run, record) or seen:
                self._checked += 1
                self._found.add(f"{name} succeeded, but the ledger has no effect under its key {key}")
            else:
                self._apart += 1
            return
        self._checked += 1
        if seen and effects > seen:
            self._found.add(f"{name} had {effects} effects from {seen} requests")
        attempts = int(record.body.get("attempts", 1))
        if effects > 1 and attempts <= 1 and not self._changed_hands(run, record):
            self._found.add(f"{name} was tried once and had {effects} effects under its key {key}")

    def _must(self, run: Run, record: RecordLine) -> bool:
        """Whether this step is a call that has an effect which this ledger would hold."""
        told = record.body.get("call")
        if not isinstance(told, dict) or told.get("fallback"):
            return False
        here = self._case.calls.get((run.line.id, record.chain, record.n), [])
        fitting = [one for one in here if one.status == told.get("status")]
        kinds = {(one.target, one.method) for one in fitting}
        if len(kinds) > 1:
            usual = record.key.rpartition("/")[2].partition("#")[0]
            kinds = {(target, method) for target, method in kinds if f"{method} {target}" == usual}
        if len(kinds) != 1:
            return False
        return self._covered(Call(*kinds.pop(), 0, 0))

    def _covered(self, call: Call) -> bool:
        ledger, declared = self._case.ledger, TargetLimits()
        assert ledger is not None
        if self._case.targets is not None:
            if call.target not in self._case.targets:
                return False
            declared = self._case.targets[call.target]
        if ledger.targets - {""} and call.target not in ledger.targets:
            return False
        return declared.keyed and call.method not in declared.reads

    def _changed_hands(self, run: Run, record: RecordLine) -> bool:
        """Whether another owner may have tried it before: the run was open over a change of owners."""
        now, first = self._case.tenure(run, record), self._case.tenure(run, run.records[0])
        return now is not None and first is not None and now != first

    def finish(self) -> RuleVerdict:
        if self._case.ledger is None:
            return self._found.verdict("c", TITLE, Result.UNKNOWN, "no ledger of a target")
        evidence = f"{self._checked} steps joined to the ledger, {self._apart} without an effect that it would hold"
        if self._settled:
            evidence += f", {self._settled} settled by a person"
        if self._case.ledger.keyless:
            evidence += f", {self._case.ledger.keyless} effects without a key"
        return self._found.verdict("c", TITLE, Result.PASS if self._checked else Result.NOT_APPLICABLE, evidence)
