"""A pattern of a type or a source: an exact text, or a prefix followed by ``*``."""

from __future__ import annotations

from rco.errors import ConfigInvalid

__all__ = ["is_prefix", "matches", "prefix_of", "well_formed"]


def is_prefix(pattern: str) -> bool:
    """Whether the pattern stands for all that begins like it."""
    return pattern.endswith("*")


def prefix_of(pattern: str) -> str:
    """What a prefix pattern's matches begin with; empty for ``*`` alone."""
    return pattern[:-1]


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` matches."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def well_formed(pattern: str, what: str) -> None:
    """Raises ``ConfigInvalid`` when the pattern is empty or has a ``*`` that is not its end."""
    if not pattern or "*" in pattern[:-1]:
        raise ConfigInvalid(
            f"the pattern {pattern!r} of {what} {'has a * before its end' if pattern else 'is empty'}",
            cure="Write the whole text, or its beginning followed by one *, as in order.* or * alone.",
        )
