"""Cron expressions against the calendar."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from rco.kit.cron import CRON_CHARS_MAX, parse_cron


def days(text: str, year: int = 2026, month: int | None = None) -> list[str]:
    cron = parse_cron(text)
    found, day = [], date(year, month or 1, 1)
    while day.year == year and (month is None or day.month == month):
        if cron.on(day):
            found.append(f"{day:%m-%d}")
        day += timedelta(days=1)
    return found


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0 6 * * *", [360]),
        ("*/20 0 * * *", [0, 20, 40]),
        ("5-15/5,59 1 * * *", [65, 70, 75, 119]),
        ("30 22/1 * * *", [1350, 1410]),
        ("@daily", [0]),
        ("15 8,20 * * *", [495, 1215]),
    ],
)
def test_times_of_a_day(text, times):
    assert list(parse_cron(text).times) == times


@pytest.mark.parametrize(
    ("text", "month", "wanted"),
    [
        ("0 0 * * MON-WED", 3, ["03-02", "03-03", "03-04", "03-09", "03-10", "03-11"]),
        ("0 0 L * *", 2, ["02-28"]),
        ("0 0 L-2 * *", 2, ["02-26"]),
        ("0 0 LW * *", 5, ["05-29"]),  # the 31st is a Sunday
        ("0 0 1W * *", 8, ["08-03"]),  # the 1st is a Saturday: not into July
        ("0 0 15W * *", 8, ["08-14"]),  # a Saturday
        ("0 0 15W * *", 11, ["11-16"]),  # a Sunday
        ("0 0 31W * *", 5, ["05-29"]),  # a Sunday and the last: not into June
        ("0 0 ? * 5#2", 6, ["06-12"]),
        ("0 0 ? * FRI#5", 6, []),
        ("0 0 * * 5L", 6, ["06-26"]),
        ("0 0 13 * FRI", 6, ["06-05", "06-12", "06-13", "06-19", "06-26"]),  # either, as in crontab(5)
        ("0 0 1 jan *", 1, ["01-01"]),
        ("0 0 30 2 *", 2, []),
        ("0 0 * * 7", 3, ["03-01", "03-08", "03-15", "03-22", "03-29"]),
        ("0 0 */10 * MON", 6, ["06-01"]),  # a day field that begins with * does not widen, as in crontab(5)
    ],
)
def test_dates(text, month, wanted):
    assert days(text, month=month)[: len(wanted) or None] == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "minute: 60 is not within"),
        ("* 24 * * *", "hour: 24"),
        ("* * 0 * *", "day-of-month: 0"),
        ("* * * 13 *", "month: 13"),
        ("* * * * 8", "day-of-week: 8"),
        ("*/0 * * * *", "a step of 0"),
        ("* 22-2 * * *", "runs backwards; write two ranges, e.g. 22-23,0-2"),
        ("* * * FOO *", "'FOO' is not a number"),
        ("* * L-31 * *", "before every month"),
        ("* * * * MON#6", "'MON#6'"),
        ("1,,2 * * * *", "''"),
        ("¼ * * * *", "¼"),
        ("-5 * * * *", "'-5'"),
        ("*" * (CRON_CHARS_MAX + 1), "the limit is"),
        ("@reboot", "1 fields"),
    ],
)
def test_what_is_no_expression_is_told(text, says):
    with pytest.raises(ValueError) as told:  # noqa: PT011 - the text is compared below
        parse_cron(text)
    assert says in str(told.value)
