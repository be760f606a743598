"""Cron expressions: five fields, as crontab(5) has them, with names and the day forms of Quartz (``L``, ``W``, ``#``).

Pure calendar: which dates and which minutes of a day. What a local minute is as an instant is ``rco.kit.zone``'s.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date

import msgspec

__all__ = ["CRON_CHARS_MAX", "Cron", "parse_cron"]

CRON_CHARS_MAX = 200
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART = re.compile(r"(?:(\*)|([0-9A-Z]+)(?:-([0-9A-Z]+))?)(?:/([0-9]{1,4}))?")
_LAST = re.compile(r"L(?:-([0-9]{1,2}))?")
_NEAREST = re.compile(r"([0-9]{1,2})W")
_NTH = re.compile(r"([0-9A-Z]+)#([1-5])")
_LAST_WEEKDAY = re.compile(r"([0-9A-Z]+)L")
_FORM = "Write five fields: minute hour day-of-month month day-of-week, e.g. 30 6 * * MON-FRI."


class Cron(msgspec.Struct, frozen=True):
    """A parsed expression.

    ``times`` are the minutes of a day it names, sorted, 0 to 1439. ``any_hour``: its hour field begins with ``*``: it
    means "all through the day", not a time of day. Where both day fields are restricted (neither begins with
    ``*`` or is ``?``) a date counts that fits either, as crontab(5) says.
    """

    text: str
    times: tuple[int, ...]
    any_hour: bool
    months: frozenset[int]
    any_day: bool
    any_weekday: bool
    days: frozenset[int]
    """Of the month, from 1."""
    lasts: frozenset[int]
    """Days before the last of the month; 0 is the last."""
    nearest: frozenset[int]
    """Days of the month whose nearest working day (Monday to Friday, same month) counts; 0 stands for the last."""
    weekdays: frozenset[int]
    """0 is Sunday."""
    nth: frozenset[tuple[int, int]]
    """(weekday, which of the month from 1; 0 stands for the last)."""

    def on(self, day: date) -> bool:
        """Whether ``day`` counts."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = self._by_day(day), self._by_weekday(day)
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday

    def _by_day(self, day: date) -> bool:
        last = calendar.monthrange(day.year, day.month)[1]
        if day.day in self.days or last - day.day in self.lasts:
            return True
        return any(day.day == _working(day, wanted or last, last) for wanted in self.nearest if wanted <= last)

    def _by_weekday(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if weekday in self.weekdays:
            return True
        if not self.nth:
            return False
        last = calendar.monthrange(day.year, day.month)[1]
        return (weekday, (day.day + 6) // 7) in self.nth or ((weekday, 0) in self.nth and day.day + 7 > last)


def _working(month: date, wanted: int, last: int) -> int:
    """The working day nearest to ``wanted``, without leaving the month."""
    weekday = month.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted


def parse_cron(text: str) -> Cron:
    """The expression in ``text``: five fields, or ``@hourly`` and its like. Raises ``ValueError`` naming the field."""
    if len(text) > CRON_CHARS_MAX:
        raise ValueError(f"a cron expression of {len(text)} characters; the limit is {CRON_CHARS_MAX}")
    plain = _MACROS.get(text.strip().lower(), text).upper()
    fields = plain.split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} has {len(fields)} fields. {_FORM}")
    minute, hour, day, month, weekday = fields
    minutes = _numbers("minute", minute, 0, 59, {})
    hours = _numbers("hour", hour, 0, 23, {})
    days, lasts, nearest = _days(day)
    weekdays, nth = _weekdays(weekday)
    return Cron(
        text=" ".join(text.split()),
        times=tuple(sorted(h * 60 + m for h in hours for m in minutes)),
        any_hour=hour.startswith("*"),
        months=_numbers("month", month, 1, 12, _MONTHS),
        any_day=day.startswith(("*", "?")),
        any_weekday=weekday.startswith(("*", "?")),
        days=days,
        lasts=lasts,
        nearest=nearest,
        weekdays=weekdays,
        nth=nth,
    )


def _number(field: str, text: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text)
    if value is None:
        if not text.isdecimal():
            known = f" or {', '.join(names)}" if names else ""
            raise ValueError(f"{field}: {text!r} is not a number from {low} to {high}{known}")
        value = int(text)
    if not low <= value <= high:
        raise ValueError(f"{field}: {value} is not within {low} to {high}")
    return value


def _numbers(field: str, text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{field}: {part!r} is not a number, a range, a step or *")
        star, first, last, step = match.groups()
        every = int(step) if step else 1
        if not every:
            raise ValueError(f"{field}: a step of 0 in {part!r}")
        if star:
            start, stop = low, high
        else:
            start = _number(field, first, low, high, names)
            stop = _number(field, last, low, high, names) if last else (high if step else start)
        if stop < start:
            raise ValueError(f"{field}: {part!r} runs backwards; write two ranges, e.g. {start}-{high},{low}-{stop}")
        found.update(range(start, stop + 1, every))
    return frozenset(found)


def _apart(text: str, special: Callable[[str], bool]) -> str:
    """``text`` without the parts that ``special`` took."""
    return ",".join(part for part in text.split(",") if not special(part))


def _days(text: str) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    lasts: set[int] = set()
    nearest: set[int] = set()

    def special(part: str) -> bool:
        if part == "LW":
            nearest.add(0)
        elif (match := _LAST.fullmatch(part)) is not None:
            before = int(match[1] or 0)
            if before > 30:
                raise ValueError(f"day-of-month: {part!r} is before every month")
            lasts.add(before)
        elif (match := _NEAREST.fullmatch(part)) is not None:
            nearest.add(_number("day-of-month", match[1], 1, 31, {}))
        else:
            return False
        return True

    rest = _apart("*" if text == "?" else text, special)
    days = _numbers("day-of-month", rest, 1, 31, {}) if rest else frozenset[int]()
    return days, frozenset(lasts), frozenset(nearest)


def _weekdays(text: str) -> tuple[frozenset[int], frozenset[tuple[int, int]]]:
    nth: set[tuple[int, int]] = set()

    def special(part: str) -> bool:
        if (match := _NTH.fullmatch(part)) is not None:
            nth.add((_number("day-of-week", match[1], 0, 7, _WEEKDAYS) % 7, int(match[2])))
        elif (match := _LAST_WEEKDAY.fullmatch(part)) is not None:
            nth.add((_number("day-of-week", match[1], 0, 7, _WEEKDAYS) % 7, 0))
        else:
            return False
        return True

    rest = _apart("*" if text == "?" else text, special)
    numbers = _numbers("day-of-week", rest, 0, 7, _WEEKDAYS) if rest else frozenset[int]()
    return frozenset(number % 7 for number in numbers), frozenset(nth)
