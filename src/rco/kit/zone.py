"""Local time to instants: IANA time zones, and what becomes of minutes that a clock skips or shows twice.

The rules come from the ``tzdata`` package in the lock and not from the machine, so that all nodes of one release agree
on every instant (docs/decisions/0008-time-zones.md). Local times follow PEP 495.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo

import tzdata

__all__ = ["ZONE_RULES", "Repeated", "Skipped", "instants", "load_zone", "local_date", "steady_midnight", "zone_names"]

ZONE_RULES: str = tzdata.IANA_VERSION
"""Version of the time zone rules, e.g. ``2026f``."""
Skipped = Literal["after", "skip"]
"""A local time that a clock skips: once, at the instant the clock jumps; or not at all."""
Repeated = Literal["once", "twice"]
"""A local time that a clock shows twice: the first time only, or both times."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: differences of local times
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every zone there is."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split())


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """The zone of that name. Raises ``ValueError`` for any other text: names are looked up, never opened as paths."""
    if name not in zone_names():
        raise ValueError(f"{name!r} is not a time zone; write e.g. Europe/Berlin or UTC")
    place = resources.files("tzdata.zoneinfo").joinpath(*name.split("/"))
    with place.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_date(zone: ZoneInfo, at_s: int) -> date:
    """The date that clocks in ``zone`` show at an instant."""
    return datetime.fromtimestamp(at_s, UTC).astimezone(zone).date()


@lru_cache(maxsize=8192)
def steady_midnight(zone: ZoneInfo, day: date) -> int | None:
    """The instant, in seconds, at which ``day`` begins, when no clock changes on it; else ``None``."""
    start = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local, see PEP 495
    offset_s = _offset_s(zone, start)
    if not offset_s == _offset_s(zone, start, 1) == _offset_s(zone, start + _DAY) == _offset_s(zone, start + _DAY, 1):
        return None
    return _local_s(start) - offset_s


def instants(zone: ZoneInfo, day: date, minutes: Iterable[int], skipped: Skipped, repeated: Repeated) -> list[int]:
    """The instants, in seconds since the epoch, at which clocks in ``zone`` show ``minutes`` (sorted) of ``day``.

    Sorted, each once. Several skipped minutes come to one instant: that at which the clock jumps.
    """
    midnight_s = steady_midnight(zone, day)
    if midnight_s is not None:
        return [midnight_s + minute * 60 for minute in minutes]
    start = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - likewise
    found: set[int] = set()
    for minute in minutes:
        local = start + timedelta(minutes=minute)
        before_s, after_s = _offset_s(zone, local), _offset_s(zone, local, 1)
        if before_s < after_s:
            if skipped == "after":
                found.add(_jump_s(zone, _local_s(local) - after_s, _local_s(local) - before_s))
            continue
        found.add(_local_s(local) - before_s)
        if before_s > after_s and repeated == "twice":
            found.add(_local_s(local) - after_s)
    return sorted(found)


def _local_s(local: datetime) -> int:
    return (local - _EPOCH) // _SECOND


def _offset_s(zone: ZoneInfo, local: datetime, fold: int = 0) -> int:
    offset = local.replace(tzinfo=zone, fold=fold).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def _jump_s(zone: ZoneInfo, low_s: int, high_s: int) -> int:
    """The instant after ``low_s`` and up to ``high_s`` at which the offset changes."""
    before = _utc_offset(zone, low_s)
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        if _utc_offset(zone, middle_s) == before:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def _utc_offset(zone: ZoneInfo, at_s: int) -> timedelta | None:
    return datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
