"""Times in and out."""

import pytest

from rco.kit.clock import Clock, SystemClock, iso, parse_iso


def test_a_moment_has_one_text() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000000Z"
    assert iso(1_795_257_415_338_692) == "2026-11-21T10:36:55.338692Z"
    assert iso(-1) == "1969-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("2026-11-21T10:36:55.338692Z", 1_795_257_415_338_692),
        ("2026-11-21T11:36:55.338692+01:00", 1_795_257_415_338_692),
        ("2026-11-21T10:36:55Z", 1_795_257_415_000_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_what_is_read(text: str, at_us: int) -> None:
    assert parse_iso(text) == at_us


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-21T10:36:55", "2026-13-01T00:00:00Z", "10:36Z"])
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_iso(text)


def test_far_times_lose_no_microsecond() -> None:
    at_us = 253_402_300_799_999_999
    assert parse_iso(iso(at_us)) == at_us


def test_the_systems_clock_goes_forward() -> None:
    clock: Clock = SystemClock()
    first, second = clock.monotonic(), clock.monotonic()
    assert second >= first
    assert parse_iso("2024-01-01T00:00:00Z") < clock.now_us() < parse_iso("2200-01-01T00:00:00Z")
