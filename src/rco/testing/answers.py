"""What the other side of a call does in a test: an answer, or one of the ways in which none comes.

Each is frozen data, so a script of them is a list that can be read. ``done=True`` says that the effect happened
although nobody heard of it: that is what tells a call that may be repeated from one that may not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rco.errors import Misuse
from rco.model.path import PathPattern, PathRefused, path_segments
from rco.model.target import CallRequest

__all__ = [
    "Answers",
    "Fault",
    "Reply",
    "Script",
    "cannot_connect",
    "connection_lost",
    "no_answer",
    "node_dies",
    "reply",
    "slow",
    "too_many",
]

Answers = Mapping[str, Any] | Callable[[CallRequest], Any]
"""By ``"METHOD target path"``, or a function of the request."""


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer, ``after_s`` seconds after the request."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = {}
    after_s: float = 0.0


class Fault(msgspec.Struct, frozen=True):
    """No answer. ``kind``: ``no_answer``, ``connection_lost``, ``cannot_connect`` or ``node_dies``."""

    kind: str
    done: bool = False
    after_s: float = 0.0


def reply(
    body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None, after_s: float = 0.0
) -> Reply:
    """An answer with ``status``; ``body`` is JSON. Raises ``Misuse`` for a status that ends no request."""
    if not 200 <= status <= 599:
        raise Misuse(f"reply with status {status}.", cure="Give one between 200 and 599.")
    if after_s < 0:
        raise Misuse(f"reply after {after_s} s.", cure="Give seconds of 0 or more.")
    return Reply(body, status, dict(headers or {}), after_s)


def slow(body: Any = None, *, seconds: float, status: int = 200) -> Reply:
    """An answer that takes its time. One that takes longer than the call waits was done, and nobody heard of it."""
    return reply(body, status=status, after_s=seconds)


def too_many(retry_after_s: float | None = None, *, status: int = 429) -> Reply:
    """429 (or 503) with ``Retry-After``: the target is left alone for so long, by every run."""
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return reply({"error": "too many requests"}, status=status, headers=headers)


def no_answer(*, done: bool = False) -> Fault:
    """The request is never answered: the call's time runs out."""
    return Fault("no_answer", done)


def connection_lost(*, done: bool = False, after_s: float = 0.0) -> Fault:
    """The connection ends after the request was sent and before the answer came."""
    return Fault("connection_lost", done, after_s)


def cannot_connect() -> Fault:
    """Nobody listens: nothing was sent."""
    return Fault("cannot_connect")


def node_dies(*, done: bool = False) -> Fault:
    """The node is killed while it waits for the answer, and started again at once."""
    return Fault("node_dies", done)


class Script:
    """What is answered to whom, and how far each list has been read. ``what``: the parameter it was given as."""

    def __init__(self, answers: Answers, what: str = "calls") -> None:
        self._given: dict[str, int] = {}
        self._answers: Mapping[str, Any] = {}
        self._function: Callable[[CallRequest], Any] | None = None
        self._patterns: list[tuple[str, str, str, PathPattern]] = []
        if callable(answers):
            self._function = answers
            return
        if not isinstance(answers, Mapping):
            raise Misuse(f"{what} is a {type(answers).__name__}.", cure="Give a mapping, or a function of the request.")
        self._answers = answers
        for name, told in answers.items():
            if isinstance(told, list) and not told:
                raise Misuse(f"{what}[{name!r}] is an empty list.", cure="Give an answer for each attempt.")
            if what == "calls":
                self._pattern(name)

    @property
    def targets(self) -> set[str]:
        """The targets that are named."""
        return {target for _, _, target, _ in self._patterns}

    @property
    def unused(self) -> list[str]:
        """What was never asked for."""
        return sorted(name for name in self._answers if name not in self._given)

    def _pattern(self, name: str) -> None:
        words = name.split(" ")
        if len(words) != 3 or not words[0].isupper() or not words[2].startswith("/"):
            raise Misuse(f"calls names {name!r}.", cure='Write "METHOD target /path", as in "POST shop /orders/*".')
        method, target, path = words
        try:
            self._patterns.append((name, method, target, PathPattern.compile(path)))
        except ValueError as problem:
            raise Misuse(f"calls names {name!r}: {problem}.", cure="Write the path as in a target's rules.") from None

    def answer(self, request: CallRequest) -> Any:
        """What ``request`` is answered. Raises ``LookupError`` when nothing is."""
        if self._function is not None:
            return self._function(request)
        name = f"{request.method} {request.target} {request.path}"
        if name in self._answers:
            return self.next(name)
        try:
            segments = path_segments(request.path)
        except PathRefused:
            raise LookupError(name) from None
        for key, method, target, pattern in self._patterns:
            if (method, target) == (request.method, request.target) and pattern.matches(segments):
                return self.next(key)
        raise LookupError(name)

    def names(self, name: str) -> bool:
        """Whether there is an answer under this very name."""
        return name in self._answers

    def next(self, name: str) -> Any:
        """The next answer under ``name``; the last of a list stays."""
        at = self._given.get(name, 0)
        self._given[name] = at + 1
        told = self._answers[name]
        return told[min(at, len(told) - 1)] if isinstance(told, list) else told

    def missing(self, name: str) -> Misuse:
        """The mistake of a test that gives no answer to ``name``."""
        from difflib import get_close_matches

        known = ", ".join(sorted(self._answers)) or "none"
        near = get_close_matches(name, list(self._answers), 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return Misuse(f"the test has no answer to {name!r}.", cure=f"Add it to calls=; there are: {known}.{hint}")
