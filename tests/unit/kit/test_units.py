"""Durations and sizes as people write them."""

import pytest

from rco.kit.units import parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("1m", 60), ("2h", 7200), ("7d", 604_800), ("1.5s", 1.5), ("10us", 1e-5), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "5S", "1e3s", "5s ", ".5s", "5.s", "1h30m", "\u0665s", "5sec"]
)
def test_what_is_no_duration_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"write e\.g\. 250ms"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "count"), [("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30), ("0B", 0)]
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size_bytes(text) == count


@pytest.mark.parametrize("text", ["", "64", "64KB", "64kib", "1.5MiB", "-1B", "1 MiB", "\u0661B", "1TiB"])
def test_what_is_no_size_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"write e\.g\. 512B"):
        parse_size_bytes(text)
