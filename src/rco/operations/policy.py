"""The policy: grant rules, looked up by origin. Deny unless a rule grants."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rco.capability.scope import parse_scope
from rco.model.grant_rule import GrantRule

__all__ = ["BEFORE", "Policy", "matches", "rule_problem"]

BEFORE = "before"
ORIGINS = ("provider", "run", "principal", "role", "schedule", "outbox")


def matches(pattern: str, text: str) -> bool:
    """Exactly, or by its beginning when ``pattern`` ends in ``*``."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == text


def rule_problem(rule: GrantRule) -> str:
    """What is wrong with a rule, or nothing."""
    for one in rule.to:
        kind, colon, name = one.partition(":")
        if one != BEFORE and (kind not in ORIGINS or not colon or not name or "*" in name[:-1]):
            return f"{one!r} is nobody; write {':NAME, '.join(ORIGINS)}:NAME or {BEFORE}"
    for scope in rule.scopes:
        try:
            parse_scope(scope)
        except ValueError as problem:
            return str(problem)
        if " " in scope:
            return f"scope {scope!r} holds a space"
    return ""


class Policy:
    """Compiled rules. Immutable; a reload makes another one."""

    def __init__(self, rules: Iterable[GrantRule]) -> None:
        self._rules = tuple(rules)
        self.scopes = lru_cache(maxsize=1024)(self._scopes)

    def _scopes(self, origins: tuple[str, ...], subscription: str | None = None) -> tuple[str, ...]:
        """What the rules give to any of ``origins``, each scope once, in the order of the rules.

        ``subscription``: only what they give it; ``None``: what they give anything that begins there.
        """
        found: dict[str, None] = {}
        for rule in self._rules:
            if subscription is not None and not matches(rule.subscription, subscription):
                continue
            if any(matches(pattern, origin) for pattern in rule.to for origin in origins):
                found.update(dict.fromkeys(rule.scopes))
        return tuple(found)
