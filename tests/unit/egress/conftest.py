import pytest


class ManualClock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now_us(self) -> int:
        return 1_700_000_000_000_000 + round(self.at * 1e6)

    def monotonic(self) -> float:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
