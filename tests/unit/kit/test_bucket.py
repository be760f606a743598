"""A rate with a burst."""

import pytest

from rco.kit.bucket import TokenBucket


class HandClock:
    def __init__(self) -> None:
        self.at = 100.0

    def now_us(self) -> int:
        return int(self.at * 1e6)

    def monotonic(self) -> float:
        return self.at


def test_the_burst_goes_at_once_and_then_the_rate_rules() -> None:
    clock = HandClock()
    bucket = TokenBucket(8, 3, clock)
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take() == pytest.approx(0.125)
    clock.at += 0.125
    assert bucket.take() == 0.0
    assert bucket.take() > 0


def test_what_is_told_to_wait_succeeds_after_that_time() -> None:
    clock = HandClock()
    bucket = TokenBucket(7, 2, clock)
    bucket.take(2)
    wait_s = bucket.take(2)
    clock.at += wait_s * 0.99
    assert bucket.take(2) > 0
    clock.at += wait_s * 0.011
    assert bucket.take(2) == 0.0


def test_a_refusal_takes_nothing() -> None:
    clock = HandClock()
    bucket = TokenBucket(1, 5, clock)
    bucket.take(4)
    assert bucket.take(3) == pytest.approx(2.0)
    assert bucket.take(3) == pytest.approx(2.0)
    assert bucket.take(1) == 0.0


def test_rest_fills_no_more_than_the_burst() -> None:
    clock = HandClock()
    bucket = TokenBucket(10, 3, clock)
    clock.at += 3600
    assert [bucket.take() > 0 for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (1, 0.5)])
def test_a_bucket_that_lets_nothing_through_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="burst"):
        TokenBucket(rate, burst, HandClock())
