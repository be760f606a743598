"""(i) What the client read of a run fits one order of what happened to it: the state of a run is linearizable."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from rco.verify.case import Case, Run
from rco.verify.digests import content_address
from rco.verify.lines import Asked
from rco.verify.verdict import Findings, Result, RuleVerdict

__all__ = ["Reads"]

TITLE = "reads fit one order of events"
_CLOSED = frozenset({"completed", "failed", "cancelled", "terminated"})
_MISSING = content_address(None)
_ANYTHING = "by_reference"


@dataclass(frozen=True)
class _Version:
    """What a run looked like from one record on: its outcome and its published values (their digests)."""

    since_us: int
    outcome: str | None
    values: dict[str, str]


class Reads:
    """A run has one writer, so its versions have one order; a read must have seen one of them, not before it was
    written, and none older than what a read that ended before it began had seen.

    Each read is given the oldest version that fits: if that does not work out, nothing does.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._found = Findings()
        self._reads: dict[str, list[Asked]] = defaultdict(list)
        for asked in case.asked("read", "acknowledged"):
            self._reads[asked.run_id].append(asked)
        self._started: dict[str, int] = {}
        for asked in case.asked("start", "acknowledged"):
            if asked.ended_us is not None:
                before = self._started.get(asked.run_id, asked.ended_us)
                self._started[asked.run_id] = min(before, asked.ended_us)
        self._known: set[str] = set()
        self._looked = 0

    def take(self, run: Run) -> None:
        self._known.add(run.line.id)
        reads = self._reads.get(run.line.id)
        if not reads:
            return
        versions = _versions(run)
        placed: list[tuple[int, int]] = []
        for read in sorted(reads, key=lambda one: one.began_us or 0):
            self._looked += 1
            self._place(run, read, versions, placed)

    def _place(self, run: Run, read: Asked, versions: list[_Version], placed: list[tuple[int, int]]) -> None:
        name = f"{run.name}: a read of {_seen(read)}"
        if read.state == "missing":
            told = self._started.get(run.line.id)
            after = any(ended < (read.began_us or 0) for ended, _ in placed)
            if after or (told is not None and read.began_us is not None and told < read.began_us):
                self._found.add(f"{name} began after the run was acknowledged or seen")
            return
        least = 0
        if read.began_us is not None:
            least = max((place for ended_us, place in placed if ended_us < read.began_us), default=0)
        fitting = [place for place, version in enumerate(versions) if _fits(read, version)]
        if not fitting:
            self._found.add(f"{name}: it never was so")
            return
        later = [place for place in fitting if place >= least]
        if not later:
            self._found.add(f"{name} began after another had seen what came later")
            return
        if read.ended_us is not None:
            ahead_us = versions[later[0]].since_us - read.ended_us - self._case.options.skew_us
            if ahead_us > 0:
                self._found.add(f"{name} ended {ahead_us} us before it was so")
            placed.append((read.ended_us, later[0]))

    def finish(self) -> RuleVerdict:
        for run_id, reads in self._reads.items():
            if run_id not in self._known | self._case.encrypted and any(read.state != "missing" for read in reads):
                self._found.add(f"run {run_id} was read, and is not in the export")
        if self._case.client is None:
            return self._found.verdict("i", TITLE, Result.UNKNOWN, "no client log")
        word = Result.PASS if self._looked else Result.NOT_APPLICABLE
        return self._found.verdict("i", TITLE, word, f"{self._looked} reads placed")


def _versions(run: Run) -> list[_Version]:
    versions = [_Version(run.line.opened_us, None, {})]
    for record in run.records:
        last = versions[-1]
        if record.kind == "STATE":
            value = record.payload.get("value", {})
            # What is kept in the object store has its digest there: whatever was read of it fits.
            shown = _ANYTHING if value.get("by_reference") else str(value.get("b3", ""))
            values = {**last.values, str(record.body.get("name")): shown}
            versions.append(_Version(record.at_us, last.outcome, values))
        elif record.kind == "CLOSE":
            versions.append(_Version(record.at_us, str(record.body.get("outcome")), last.values))
    return versions


def _fits(read: Asked, version: _Version) -> bool:
    if read.state is not None:
        seen = read.state if read.state in _CLOSED else None
        if seen != version.outcome:
            return False
    return all(version.values.get(name, _MISSING) in (_ANYTHING, _digest(value)) for name, value in read.values.items())


def _digest(value: Any) -> str:
    try:
        return content_address(value)
    except (ValueError, TypeError):
        return ""


def _seen(read: Asked) -> str:
    parts = [read.state] if read.state is not None else []
    return ", ".join([*parts, *(f"value {name}" for name in sorted(read.values))]) or "nothing"
