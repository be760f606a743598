"""Ticks other than those of clock changes, which have an oracle of their own."""

from __future__ import annotations

from datetime import date
from itertools import islice

import pytest

from rco.errors import Misuse
from rco.kit.clock import iso, parse_iso
from rco.model.schedule import ScheduleSpec
from rco.scheduler.ticks import Ticks

HOLIDAYS = {"holidays": frozenset({date(2026, 12, 25), date(2026, 12, 26)})}


def ticks(after: str = "2026-12-24T00:00:00Z", count: int = 4, **spec) -> list[str]:
    made = Ticks(ScheduleSpec(workflow="w", **spec), HOLIDAYS)
    found = islice(made.between(parse_iso(after), parse_iso("2100-01-01T00:00:00Z")), count)
    return [iso(at).removesuffix(".000000Z") for at in found]


def test_intervals_count_from_the_epoch_or_from_their_start():
    assert ticks(every_s=3600, count=2) == ["2026-12-24T01:00:00", "2026-12-24T02:00:00"]
    assert ticks(every_s=3600, start_at="2026-12-24T02:10:00Z", count=2) == [
        "2026-12-24T02:10:00",
        "2026-12-24T03:10:00",
    ]


def test_what_is_given_adds_up_and_counts_once():
    found = ticks(cron=["0 6 * * *", "0 6,18 * * *"], every_s=12 * 3600, at=["2026-12-24T18:00:00Z"], count=4)
    assert found == ["2026-12-24T06:00:00", "2026-12-24T12:00:00", "2026-12-24T18:00:00", "2026-12-25T00:00:00"]


def test_single_times_are_local_unless_they_say_otherwise():
    assert ticks(at=["2026-12-24T10:00:30", "2026-12-24T10:00:00+05:30"], zone="America/New_York") == [
        "2026-12-24T04:30:00",
        "2026-12-24T15:00:30",
    ]


def test_a_single_time_that_no_clock_shows_is_the_jump_and_a_repeated_one_the_first():
    at = ["2027-03-28T02:30:15", "2027-10-31T02:30:15"]
    assert ticks(at=at, zone="Europe/Berlin") == ["2027-03-28T01:00:00", "2027-10-31T00:30:15"]
    assert ticks(at=at, zone="Europe/Berlin", skipped="skip", repeated="twice") == [
        "2027-10-31T00:30:15",
        "2027-10-31T01:30:15",
    ]


def test_dates_and_calendars_are_left_out():
    assert ticks(cron=["0 9 * * *"], exclude=["holidays", "2026-12-28"], count=3) == [
        "2026-12-24T09:00:00",
        "2026-12-27T09:00:00",
        "2026-12-29T09:00:00",
    ]


def test_only_the_dates_that_are_given():
    assert ticks(every_s=12 * 3600, only=["holidays", "2030-01-01"], exclude=["2026-12-26"]) == [
        "2026-12-25T00:00:00",
        "2026-12-25T12:00:00",
        "2030-01-01T00:00:00",
        "2030-01-01T12:00:00",
    ]


def test_dates_are_those_of_the_zone():
    # 23:30 in New York on the 24th is the 25th in UTC.
    after = "2026-12-24T12:00:00Z"
    assert ticks(after, cron=["30 23 * * *"], zone="America/New_York", exclude=["holidays"], count=2) == [
        "2026-12-25T04:30:00",
        "2026-12-28T04:30:00",
    ]


def test_from_and_to():
    assert ticks(cron=["0 * * * *"], start_at="2026-12-24T03:00:00Z", end_at="2026-12-24T05:00:00Z", count=9) == [
        "2026-12-24T03:00:00",
        "2026-12-24T04:00:00",
        "2026-12-24T05:00:00",
    ]


def test_the_29th_of_february_and_a_day_that_never_comes():
    assert ticks(cron=["0 0 29 2 *"], count=2) == ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]
    assert ticks(cron=["0 0 30 2 *"]) == []
    assert ticks(every_s=60, only=["2020-01-01"]) == []


def test_jitter_is_the_same_at_each_asking_and_before_the_next_tick():
    made = Ticks(ScheduleSpec(workflow="w", every_s=10, jitter_s=60), {})
    at = parse_iso("2026-12-24T00:00:00Z")
    drawn = set()
    for tick in islice(made.between(at, at + 10**12), 200):
        fire = made.fire_us(b"one schedule's id", tick)
        assert tick <= fire < tick + 10_000_000
        assert fire == Ticks(ScheduleSpec(workflow="w", every_s=10, jitter_s=60), {}).fire_us(
            b"one schedule's id", tick
        )
        assert fire != made.fire_us(b"another schedule", tick)
        drawn.add((fire - tick) // 1_000_000)
    assert drawn == set(range(10))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "names no time"),
        ({"cron": ["bad"]}, "1 fields"),
        ({"every_s": 5, "zone": "Mars/Olympus"}, "not a time zone"),
        ({"every_s": 5, "zone": "../../../etc/passwd"}, "not a time zone"),
        ({"every_s": 5, "exclude": ["nowhere"]}, "known: holidays"),
        ({"every_s": 5, "only": ["2026-02-30"]}, "day is out of range"),
        ({"at": ["yesterday"]}, "yesterday"),
        ({"every_s": 5, "start_at": "2026-01-01T00:00:00"}, "no time zone"),
        ({"every_s": 5, "start_at": "2026-01-02T00:00:00Z", "end_at": "2026-01-01T00:00:00Z"}, "before start_at"),
    ],
)
def test_what_cannot_be_used_is_told(spec, says):
    with pytest.raises(Misuse) as told:
        Ticks(ScheduleSpec(workflow="w", **spec), HOLIDAYS)
    assert says in str(told.value)
