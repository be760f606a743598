"""(f) Concurrency and rate of a target are never exceeded, as the target saw it; nor is a queue's concurrency."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from rco.verify.case import Case, Request, Run
from rco.verify.options import TargetLimits
from rco.verify.owners import Span
from rco.verify.rules.queue_sweep import QueueRuns, sweep
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["RateLimits"]

TITLE = "concurrency and rate are never exceeded"
_END, _BEGIN, _POINT_END = 0, 1, 2


class RateLimits:
    """Sweeps over the ledger's times. The time from one node's beginning to the next one's is looked at by itself: one
    that starts on a database of its own has a full bucket, and what a killed one left under way no longer counts
    against anybody. Nodes that live together share what is allowed."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._runs = QueueRuns()

    def take(self, run: Run) -> None:
        self._runs.take(run)

    def finish(self) -> RuleVerdict:
        for what in sweep(self._case, self._runs.found)[0]:
            self._found.add(what)
        return self._with_queues(self._targets())

    def _with_queues(self, targets: RuleVerdict) -> RuleVerdict:
        """What is said of targets, and of the turns in queues where there are any."""
        turns = len(self._case.turns)
        if not turns:
            return targets
        passed = targets.result is Result.NOT_APPLICABLE
        return msgspec.structs.replace(
            targets,
            result=Result.PASS if passed else targets.result,
            evidence=f"{targets.evidence}; {turns} turns in queues",
        )

    def _targets(self) -> RuleVerdict:
        case = self._case
        if case.ledger is None:
            return self._found.verdict("f", TITLE, Result.UNKNOWN, "no ledger of a target")
        if case.targets is None:
            return self._found.verdict("f", TITLE, Result.UNKNOWN, "no limits were given (--targets)")
        said: list[str] = []
        missing: list[str] = []
        alone = len(case.targets) == 1 and not case.ledger.targets - {""}
        for name, limits in sorted(case.targets.items()):
            if limits.concurrency is None and limits.rate_per_s is None:
                continue
            requests = [one for one in case.ledger.requests if one.target == name or alone]
            if not requests:
                missing.append(name)
                continue
            said.append(self._target(name, limits, requests))
        evidence = "; ".join(said) or "no target with a limit has requests in the ledger"
        if missing:
            evidence += f"; no timed requests of {', '.join(missing)}"
        if not said:
            word = Result.UNKNOWN if missing else Result.NOT_APPLICABLE
            return self._found.verdict("f", TITLE, word, evidence)
        return self._found.verdict("f", TITLE, Result.PASS, evidence)

    def _target(self, name: str, limits: TargetLimits, requests: list[Request]) -> str:
        spans: dict[Span, list[Request]] = defaultdict(list)
        for request in requests:
            spans[self._case.owners.span(request.at_us)].append(request)
        most = 0
        for span, mine in spans.items():
            where = f"target {name}, from {span.begin_us} on"
            if span.together > 1:
                where += f" with {span.together} nodes"
            most = max(most, self._together(where, limits, mine))
            if limits.rate_per_s is not None:
                self._rate(where, limits, limits.rate_per_s, mine)
        open_ended = sum(one.until_us is None for one in requests)
        said = f"{name}: {len(requests)} requests, at most {most} at once"
        if open_ended and limits.concurrency is not None:
            said += f" ({open_ended} without an end count as a moment)"
        return said

    def _together(self, where: str, limits: TargetLimits, requests: list[Request]) -> int:
        """The most requests under way at once; one that ends as another begins does not meet it."""
        moments: list[tuple[int, int]] = []
        for one in requests:
            until_us = one.at_us if one.until_us is None else one.until_us
            if limits.timeout_s is not None:
                until_us = min(until_us, one.at_us + int(limits.timeout_s * 1e6))
            moments.append((one.at_us, _BEGIN))
            moments.append((until_us, _END if until_us > one.at_us else _POINT_END))
        now = most = 0
        over_at: int | None = None
        for at_us, what in sorted(moments):
            now += 1 if what == _BEGIN else -1
            most = max(most, now)
            if limits.concurrency is not None and now > limits.concurrency and over_at is None:
                over_at = at_us
        if over_at is not None:
            self._found.add(f"{where}: {most} requests at once, {limits.concurrency} are allowed, first at {over_at}")
        return most

    def _rate(self, where: str, limits: TargetLimits, rate_per_s: float, requests: list[Request]) -> None:
        """A bucket as large as the burst, and larger by what may shift on the way, must never run empty."""
        burst = float(limits.burst) if limits.burst is not None else max(1.0, rate_per_s)
        size = burst + rate_per_s * self._case.options.jitter_us / 1e6
        tokens, before = size, 0
        for at_us in sorted(one.at_us for one in requests):
            tokens = min(size, tokens + (at_us - before) / 1e6 * rate_per_s) - 1
            before = at_us
            if tokens < -1e-6:
                self._found.add(
                    f"{where}: more than {rate_per_s:g} requests a second with a burst of {burst:g}, at {at_us}"
                )
                return
