"""Scopes: what a capability lets its holder do, and whether that covers what is asked.

A scope is words with ``:`` between them. Its first words say which kind it is::

    write:put                       put content into the store
    webhook:accept:PROVIDER         a verified delivery of PROVIDER is taken in
    run:start:WORKFLOW              start a run
    run:signal:WORKFLOW             send a signal to a run of it
    run:cancel:WORKFLOW             ask a run of it to cancel
    call:TARGET                     call TARGET in every way that its own rules allow
    call:TARGET:METHODS             ... with these methods only: GET, or GET,HEAD, or *
    call:TARGET:METHODS:PATH        ... and these paths only: /v1/charges, /v1/*/refunds, /v1/**
    publish:BROKER                  a subscription sends an event to any topic of BROKER
    publish:BROKER:TOPIC            ... to this topic only

A name (of a topic too) may be ``*``, or end in one. A target's own rules always hold besides: a scope allows nothing
that they do not.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from rco.model.path import PathPattern

__all__ = ["Ask", "Scope", "covers", "parse_scope", "parse_scopes", "scopes_text"]

_KINDS = {
    "write:put": 0,
    "webhook:accept": 1,
    "run:start": 1,
    "run:signal": 1,
    "run:cancel": 1,
    "call": 1,
    "publish": 1,
}
"""The kinds of scope, and how many names follow."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{0,127}\*?")
_METHODS = re.compile(r"\*|[A-Z]{1,20}(?:,[A-Z]{1,20}){0,9}")


class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What somebody wants to do now. ``kind`` is ``run:start``, ``call`` ...; ``name`` the workflow, target ...

    ``method`` and ``segments`` (see ``path_segments``) belong to calls, ``topic`` to what is published. ``b3`` is the
    address of the body that the action is about, empty when there is none.
    """

    kind: str
    name: str = ""
    namespace: str = "default"
    method: str = ""
    segments: tuple[str, ...] = ()
    topic: str = ""
    b3: str = ""
    corr_id: str = ""

    @property
    def action(self) -> str:
        """The scope that would be needed, for messages."""
        parts = [self.kind, self.name, self.method, self.topic]
        if self.method:
            parts.append("/" + "/".join(self.segments))
        return ":".join(part for part in parts if part)


class Scope(msgspec.Struct, frozen=True, gc=False):
    """One compiled scope. ``methods``, ``path`` and ``topic`` are ``None`` where any will do."""

    kind: str
    name: str
    open_end: bool
    """``name`` is the beginning of a name."""
    methods: frozenset[str] | None = None
    path: PathPattern | None = None
    topic: str | None = None
    """As it is written: with ``*`` at its end it is the beginning of one."""

    def covers(self, ask: Ask) -> bool:
        """Whether this scope allows ``ask``."""
        if self.kind != ask.kind:
            return False
        if not (ask.name.startswith(self.name) if self.open_end else ask.name == self.name):
            return False
        if self.methods is not None and ask.method not in self.methods:
            return False
        if self.topic is not None and not _begins_or_is(self.topic, ask.topic):
            return False
        return self.path is None or self.path.matches(ask.segments)


def parse_scope(text: str) -> Scope:
    """Raises ``ValueError`` that says what is wrong."""
    words = text.split(":", 3)
    if words[0] == "call":
        return _call(text, words)
    if words[0] == "publish":
        return _publish(text, words)
    kind = ":".join(words[:2])
    names = _KINDS.get(kind, -1)
    if names < 0 or kind == "call":
        raise ValueError(f"scope {text!r}: its kind is not one of {', '.join(_KINDS)}")
    if len(words) != 2 + names:
        raise ValueError(f"scope {text!r}: write {kind}{':NAME' * names}")
    return Scope(kind, *_name(text, words[2])) if names else Scope(kind, "", False)


def _call(text: str, words: list[str]) -> Scope:
    if len(words) < 2:
        raise ValueError(f"scope {text!r}: write call:TARGET, call:TARGET:METHODS or call:TARGET:METHODS:PATH")
    methods = path = None
    if len(words) > 2:
        if not _METHODS.fullmatch(words[2]):
            raise ValueError(f"scope {text!r}: methods are *, or e.g. GET or GET,HEAD")
        methods = None if words[2] == "*" else frozenset(words[2].split(","))
    if len(words) > 3:
        path = PathPattern.compile(words[3])
    return Scope("call", *_name(text, words[1]), methods, path)


def _publish(text: str, words: list[str]) -> Scope:
    if not 2 <= len(words) <= 3:
        raise ValueError(f"scope {text!r}: write publish:BROKER or publish:BROKER:TOPIC")
    topic = None
    if len(words) == 3:
        _name(text, words[2])
        topic = words[2]
    return Scope("publish", *_name(text, words[1]), topic=topic)


def _begins_or_is(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _name(text: str, name: str) -> tuple[str, bool]:
    if not name or not _NAME.fullmatch(name):
        raise ValueError(
            f"scope {text!r}: {name!r} is not a name; letters, digits and _.- with at most one * at its end"
        )
    return name.removesuffix("*"), name.endswith("*")


@lru_cache(maxsize=1024)
def parse_scopes(text: str) -> tuple[Scope, ...]:
    """The scopes of a caveat: one space between two. Raises ``ValueError`` when one cannot be read."""
    return tuple(parse_scope(part) for part in text.split(" ")) if text else ()


@lru_cache(maxsize=1024)
def scopes_text(scopes: tuple[str, ...]) -> str:
    """The scopes as a caveat holds them. Raises ``ValueError`` when one cannot be read."""
    for scope in scopes:
        if " " in scope:
            raise ValueError(f"scope {scope!r} holds a space")
        parse_scope(scope)
    return " ".join(scopes)


def covers(scopes: tuple[Scope, ...], ask: Ask) -> bool:
    """Whether one of ``scopes`` allows ``ask``. None of none does."""
    for scope in scopes:  # noqa: SIM110 - a generator for each question costs more than the answer
        if scope.covers(ask):
            return True
    return False
