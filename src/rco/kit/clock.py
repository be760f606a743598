"""The one door for time. Nothing else in RCO asks the operating system what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

__all__ = ["Clock", "SystemClock", "iso", "parse_iso", "read_iso"]

MICROS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Wall time for records, monotonic time for deadlines."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC. May step when the system clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start. Never goes back."""
        ...


class SystemClock:
    """The operating system's clock."""

    __slots__ = ()

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


def iso(at_us: int) -> str:
    """RFC 3339 in UTC with microseconds, e.g. ``2026-11-21T10:00:00.000000Z``.

    Raises ``OverflowError`` outside the years 1 to 9999.
    """
    second, fraction = divmod(at_us, MICROS)
    return f"{_second(second)}.{fraction:06d}Z"


@lru_cache(maxsize=64)
def _second(at_s: int) -> str:
    # Records that are written together fall into the same second.
    return (_EPOCH + timedelta(seconds=at_s)).isoformat(timespec="seconds")[:-6]


def read_iso(text: str) -> datetime:
    """The time that ``text`` says, with a zone or without. Raises ``ValueError`` that says how to write one."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a time; write e.g. 2026-11-21T10:00:00Z") from None


def parse_iso(text: str) -> int:
    """Microseconds since the epoch from an RFC 3339 time. Raises ``ValueError`` when it is not one or has no zone."""
    moment = read_iso(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write e.g. 2026-11-21T10:00:00Z")
    # Whole numbers all the way: a float would lose microseconds of far times.
    return (moment - _EPOCH) // _MICROSECOND
