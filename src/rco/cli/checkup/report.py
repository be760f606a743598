"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from rco.errors import RcoError

__all__ = ["Found", "Word", "fail", "guarded", "ok", "unknown", "warn"]


class Word(StrEnum):
    """UNKNOWN: it could not be looked at from here."""

    PASS = "PASS"  # noqa: S105 - a verdict
    WARN = "WARN"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Found(msgspec.Struct, frozen=True):
    """One check: what was found, and what to do about it."""

    check: str
    result: Word
    found: str
    cure: str = ""


def ok(check: str, found: str) -> Found:
    return Found(check, Word.PASS, found)


def warn(check: str, found: str, cure: str) -> Found:
    return Found(check, Word.WARN, found, cure)


def fail(check: str, found: str, cure: str) -> Found:
    return Found(check, Word.FAIL, found, cure)


def unknown(check: str, found: str, cure: str = "") -> Found:
    return Found(check, Word.UNKNOWN, found, cure)


def guarded(check: str, look: Callable[[], Iterable[Found]]) -> list[Found]:
    """What ``look`` finds; when it breaks off, what it found so far is lost but not that it did."""
    try:
        return list(look())
    except RcoError as problem:
        return [fail(check, problem.message, problem.cure)]
    except Exception as problem:  # noqa: BLE001 - one check that breaks must not hide the others
        return [unknown(check, f"the check itself failed: {type(problem).__name__}", "Set RCO_DEBUG=1 and report it.")]
