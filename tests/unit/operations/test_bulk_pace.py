"""The slots of a paced bulk, under a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rco.operations import paging


class Hand:
    """A clock that moves only when somebody sleeps, or is late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_us = 1_000_000
        monkeypatch.setattr(paging.asyncio, "sleep", self.sleep)

    def now_us(self) -> int:
        return self.at_us

    async def sleep(self, seconds: float) -> None:
        self.at_us += round(seconds * 1e6)


async def given(hand: Hand, rate: float | None, count: int, due_us: int = 0, late_us: int = 0) -> tuple[list[int], int]:
    pace = paging.Pace(SimpleNamespace(clock=hand), rate, due_us)  # type: ignore[arg-type]
    at: list[int] = []
    for _ in range(count):
        await pace.wait()
        at.append(hand.at_us)
        hand.at_us += late_us
    return at, pace.due_us


async def test_one_slot_after_the_other_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand(monkeypatch)
    first, due_us = await given(hand, 50, 100)
    second, _ = await given(hand, 50, 100, due_us)
    gaps = {after - before for before, after in zip([*first, *second], [*first, *second][1:], strict=False)}
    assert gaps == {20_000}
    assert first[0] == 1_000_000


async def test_a_slow_command_is_caught_up_with_and_a_pause_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand(monkeypatch)
    at, due_us = await given(hand, 50, 100, late_us=15_000)
    assert at[-1] - at[0] == 99 * 20_000
    hand.at_us += 60_000_000
    at, _ = await given(hand, 50, 50, due_us)
    assert at[-1] - at[0] >= 49 * 20_000 - paging.CATCH_UP_US


async def test_without_a_rate_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    at, _ = await given(Hand(monkeypatch), None, 3)
    assert len(set(at)) == 1
