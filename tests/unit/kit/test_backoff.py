"""How long to wait."""

import pytest

from rco.kit.backoff import Backoff


def test_it_doubles_up_to_the_cap() -> None:
    backoff = Backoff(first_s=0.1, factor=2, cap_s=1, jitter=0)
    assert [backoff.delay_s(n, lambda: 0.0) for n in range(1, 7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1])


def test_jitter_takes_away_its_share_and_no_more() -> None:
    backoff = Backoff(first_s=1, factor=2, cap_s=30, jitter=0.5)
    assert backoff.delay_s(1, lambda: 0.0) == 1
    assert backoff.delay_s(1, lambda: 0.999999) == pytest.approx(0.5, abs=1e-5)


def test_a_million_attempts_do_not_overflow() -> None:
    assert Backoff(factor=10).delay_s(1_000_000, lambda: 0.0) == 30
    assert Backoff(factor=1e6).delay_s(65, lambda: 0.0) == 30


def test_a_gentle_factor_reaches_the_cap_too() -> None:
    assert Backoff(first_s=0.1, factor=1.1, cap_s=3600, jitter=0).delay_s(200, lambda: 0.0) == 3600


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_s": 0},
        {"first_s": -1},
        {"factor": 0.5},
        {"cap_s": 0.01},
        {"jitter": 1.1},
        {"jitter": -0.1},
        {"first_s": float("nan")},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs first_s > 0"):
        Backoff(**wrong)
