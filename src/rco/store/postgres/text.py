"""PostgreSQL's text holds every character but one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["plain", "plain_all"]

T = TypeVar("T", str, str | None)


def plain(text: str) -> str:
    """``text`` with U+0000, which the server refuses, as its picture U+2400: an event that was accepted must not fail
    a commit for its form."""
    return text.replace("\0", "\u2400") if "\0" in text else text


def plain_all(texts: Iterable[T]) -> list[T]:
    """The same for each of them; ``None`` stays."""
    return [text.replace("\0", "\u2400") if text is not None and "\0" in text else text for text in texts]
