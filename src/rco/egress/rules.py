"""Does a target allow this method and path?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rco.model.path import PathPattern, path_segments
from rco.model.target import Rule

__all__ = ["Rules"]

_METHOD = re.compile(r"[A-Z]{1,20}")
_NEVER = frozenset({"CONNECT", "TRACE"})
_KNOWN_MAX, _KNOWN_CHARS = 1024, 256


class Rules:
    """The compiled ``allow`` list of one target."""

    __slots__ = ("_by_method", "_costs", "_known")

    def __init__(self, allow: Iterable[Rule]) -> None:
        """Raises ``ValueError`` for a rule whose path or method cannot be one."""
        self._by_method: dict[str, list[PathPattern]] = {}
        self._costs: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[str, str], str | None] = {}
        """What was found for the first paths that were asked for: many targets are called by few."""
        for rule in allow:
            compiled = PathPattern.compile(rule.path)
            for method in rule.methods:
                if not _METHOD.fullmatch(method) or method in _NEVER:
                    raise ValueError(f"method {method!r} in the rule for {rule.path!r}; write e.g. GET or POST")
                self._by_method.setdefault(method, []).append(compiled)
                if rule.cost != 1:
                    self._costs.setdefault((method, compiled.template), rule.cost)

    def cost(self, method: str, template: str) -> int:
        """What a call that ``match`` found this template for takes of a budget."""
        return self._costs.get((method, template), 1) if self._costs else 1

    def match(self, method: str, path: str) -> str | None:
        """The template of the first rule that allows it, or ``None``. Raises ``PathRefused`` (see ``path_segments``).

        ``method`` is in capitals, as HTTP methods are case-sensitive (RFC 9110 section 9.1).
        """
        asked = (method, path)
        if asked in self._known:
            return self._known[asked]
        segments = path_segments(path)
        found = next((rule.template for rule in self._by_method.get(method, ()) if rule.matches(segments)), None)
        if len(self._known) < _KNOWN_MAX and len(path) <= _KNOWN_CHARS:
            self._known[asked] = found
        return found
