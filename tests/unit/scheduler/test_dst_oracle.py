"""Every clock change of 2026 and 2027 in several zones, against a scan minute by minute that knows nothing of the code.

The oracle walks through the instants and looks at what a clock on the wall shows. It never asks what instant a local
time is, so it cannot share a mistake with the code, which only asks that.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rco.kit.zone import load_zone
from rco.model.schedule import ScheduleSpec
from rco.scheduler.ticks import Ticks

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ZONES = {
    "Europe/Berlin": 4,
    "America/New_York": 4,
    "Australia/Lord_Howe": 4,  # by half an hour
    "America/Santiago": 4,  # at midnight, in the other half of the year
    "Africa/Casablanca": 3,  # back for a month, and once for ever
    "Asia/Beirut": 4,  # the first hour of a day is skipped
    "America/Godthab": 4,  # late in the evening, over midnight
}
Matches = Callable[[datetime], bool]
EXPRESSIONS: dict[str, tuple[Matches, bool]] = {
    "30 2 * * *": (lambda at: (at.hour, at.minute) == (2, 30), False),
    "0 0 * * *": (lambda at: (at.hour, at.minute) == (0, 0), False),
    "15,45 0-3,23 * * *": (lambda at: at.hour in (0, 1, 2, 3, 23) and at.minute in (15, 45), False),
    "*/7 1-2 * * 0": (lambda at: at.hour in (1, 2) and at.minute % 7 == 0 and at.weekday() == 6, False),
    "*/15 * * * *": (lambda at: at.minute % 15 == 0, True),
    "10 */2 * * SAT,SUN": (lambda at: at.minute == 10 and at.hour % 2 == 0 and at.weekday() >= 5, True),
    "59 23 L * *": (lambda at: (at.hour, at.minute) == (23, 59) and (at + timedelta(days=1)).day == 1, False),
}


def changes(zone: ZoneInfo) -> list[datetime]:
    """The hours in which the clocks of ``zone`` are set in 2026 and 2027."""
    found, at = [], datetime(2026, 1, 1, tzinfo=UTC)
    while at.year < 2028:
        if at.astimezone(zone).utcoffset() != (at + HOUR).astimezone(zone).utcoffset():
            found.append(at)
        at += HOUR
    return found


def walk(zone: ZoneInfo, start: datetime, end: datetime) -> list[tuple[datetime, datetime, list[datetime], bool]]:
    """Each minute: the instant, what the clock shows, what it jumped over to get there, whether it showed that before.

    Begins a day before ``start``, so that what was shown before it is known.
    """
    found: list[tuple[datetime, datetime, list[datetime], bool]] = []
    shown: set[datetime] = set()
    before: datetime | None = None
    at = start - timedelta(days=1)
    while at <= end:
        wall = at.astimezone(zone).replace(tzinfo=None)
        missing: list[datetime] = []
        over = wall if before is None else before + MINUTE
        while over < wall:
            if over not in shown:
                missing.append(over)
            over += MINUTE
        found.append((at, wall, missing, wall in shown))
        shown.add(wall)
        before = wall
        at += MINUTE
    return [one for one in found if one[0] > start]


def possible(steps: list[Any], matches: Matches) -> list[tuple[datetime, bool, bool, bool]]:
    """The minutes that may be ticks: the instant, whether the clock shows it, whether it did before, whether it was
    jumped over to get there."""
    found = []
    for at, wall, missing, again in steps:
        shows, skips = matches(wall), any(matches(one) for one in missing)
        if shows or skips:
            found.append((at, shows, again, skips))
    return found


def oracle(minutes: list[tuple[datetime, bool, bool, bool]], skipped: str, repeated: str) -> list[datetime]:
    return [
        at
        for at, shows, again, skips in minutes
        if (shows and (repeated == "twice" or not again)) or (skipped == "after" and skips)
    ]


def compare(name: str, all_changes: list[datetime]) -> int:
    """How many ticks were the same."""
    zone = load_zone(name)
    checked = 0
    for change in all_changes:
        start, end = change - 26 * HOUR, change + 27 * HOUR
        steps = walk(zone, start, end)
        for text, (matches, any_hour) in EXPRESSIONS.items():
            minutes = possible(steps, matches)
            for skipped, repeated in (("after", "once"), ("skip", "twice"), ("auto", "auto"), ("skip", "once")):
                spec = ScheduleSpec(workflow="w", cron=[text], zone=name, skipped=skipped, repeated=repeated)
                ticks = Ticks(spec, {}).between(*(round(at.timestamp() * 1_000_000) for at in (start, end)))
                got = [datetime.fromtimestamp(tick / 1_000_000, UTC) for tick in ticks]
                auto = ("skip", "twice") if any_hour else ("after", "once")
                wanted = oracle(minutes, *(auto if skipped == "auto" else (skipped, repeated)))
                assert got == wanted, (name, change, text, skipped, repeated)
                checked += len(wanted)
    return checked


@pytest.mark.parametrize("name", ZONES)
def test_every_change_of_two_years(name):
    all_changes = changes(load_zone(name))
    assert len(all_changes) == ZONES[name]
    assert compare(name, all_changes) > 1000


def test_a_clock_that_is_set_back_over_midnight():
    # Newfoundland did so at one minute past midnight: some of the day before comes after some of the day.
    assert compare("America/St_Johns", [datetime(2010, 11, 7, 2, tzinfo=UTC)]) > 300
