"""What came of a check: a word and its evidence for each rule."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["BLIND", "FINDINGS_MAX", "Findings", "Result", "RuleVerdict", "Verdict"]

BLIND = "bcefgi"
"""Rules that look into journals: of what is encrypted they know nothing without its key."""
FINDINGS_MAX = 100
"""Kept of one rule; further ones are counted."""


class Result(StrEnum):
    """UNKNOWN: what the rule needs was not given. NOT_APPLICABLE: there is nothing that it speaks of."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class RuleVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. ``findings`` are violations, one sentence each; ``violations`` counts those beyond them too."""

    rule: str
    title: str
    result: Result
    evidence: str
    violations: int = 0
    findings: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All rules that were asked for."""

    rules: tuple[RuleVerdict, ...]
    runs: int
    records: int
    links: int
    head: str
    encrypted: int = 0
    """Runs whose journals are encrypted and were not looked into: only that they are there, whole and sealed, was."""
    opened: int = 0
    """Runs whose journals are encrypted and were looked into."""
    hidden: int = 0
    """Records in what no key opened here."""
    unseen: dict[str, int] = {}
    """By why they were not looked into, how many runs."""

    @property
    def failed(self) -> bool:
        return any(one.result is Result.FAIL for one in self.rules)

    @property
    def unknown(self) -> bool:
        return any(one.result is Result.UNKNOWN for one in self.rules)

    def text(self) -> str:
        """One line a rule, each violation under it."""
        lines = []
        for one in self.rules:
            word = "N/A" if one.result is Result.NOT_APPLICABLE else one.result.value
            lines.append(f"{one.rule}  {word:<8} {one.title}: {one.evidence}")
            lines += [f"     - {_plain(finding)}" for finding in one.findings]
            if one.violations > len(one.findings):
                lines.append(f"     - and {one.violations - len(one.findings)} more")
        if self.opened:
            lines.append(f"{self.opened} encrypted runs were looked into, with the keys that were given")
        for why, runs in self.unseen.items():
            lines.append(f"{runs} encrypted runs were not looked into by rules {', '.join(BLIND)}: {_plain(why)}")
        if self.hidden:
            lines.append(f"{self.hidden} records are in them, of which only number, order and seal were checked")
        lines.append(f"{self.runs} runs, {self.records} records, {self.links} links, head {self.head}")
        return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


class Findings:
    """Violations of one rule while it is being checked."""

    __slots__ = ("count", "kept")

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[str] = []

    def add(self, what: str) -> None:
        self.count += 1
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(what)

    def verdict(self, rule: str, title: str, otherwise: Result, evidence: str) -> RuleVerdict:
        """FAIL when anything was found, else ``otherwise``."""
        return RuleVerdict(
            rule=rule,
            title=title,
            result=Result.FAIL if self.count else otherwise,
            evidence=evidence,
            violations=self.count,
            findings=tuple(self.kept),
        )
