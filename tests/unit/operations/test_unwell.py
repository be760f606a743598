"""A brownout is made known as soon as the store takes it: every change, in its order."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any

import pytest

from rco.bridge.brownout import BrownoutSettings, Judged, Sentinel
from rco.errors import StoreError
from rco.kit.clock import SystemClock
from rco.operations import announcing
from rco.operations.unwell import Unwell
from rco.telemetry.logs import Log
from rco.telemetry.metrics import Metrics

BEGINS, ENDS = Judged(True, ("queue",), True), Judged(False, (), True)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was made known; while ``away`` nothing is."""
    found = SimpleNamespace(said=[], away=True, asked=asyncio.Event())

    async def announce(_desk: Any, _type: str, _data: Any, decision: Any) -> None:
        found.asked.set()
        if found.away:
            raise StoreError("away")
        found.said.append(decision.reason)

    monkeypatch.setattr(announcing, "announce", announce)
    monkeypatch.setattr(announcing, "AGAIN_S", 0.0)
    return found


def a_bridge() -> Unwell:
    clock = SystemClock()
    log = Log(io.StringIO(), clock, pseudonym_key=bytes(32))
    desk: Any = SimpleNamespace(clock=clock, metrics=Metrics(process=False), log=log)
    return Unwell(Sentinel(BrownoutSettings(), clock.monotonic()), lambda: desk, lambda: 0.0, ())


async def until_told(bridge: Unwell) -> None:
    await asyncio.wait_for(bridge._announcing.told(), 10)


async def test_what_could_not_be_told_is_told_later_and_nothing_is_left_out(told: Any) -> None:
    bridge = a_bridge()
    bridge._changed(BEGINS)
    await told.asked.wait()
    bridge._changed(ENDS)
    bridge._changed(BEGINS)
    assert told.said == []
    told.away = False
    await until_told(bridge)
    assert told.said == ["begins", "ends", "begins"]
    bridge._changed(ENDS)
    await until_told(bridge)
    assert told.said == ["begins", "ends", "begins", "ends"]


async def test_what_waits_is_bounded_and_the_newest_stays(told: Any) -> None:
    bridge = a_bridge()
    for _ in range(announcing.UNTOLD_MAX):
        bridge._changed(BEGINS)
        bridge._changed(ENDS)
    await told.asked.wait()
    told.away = False
    await until_told(bridge)
    assert len(told.said) == announcing.UNTOLD_MAX
    assert told.said[-1] == "ends"
    await bridge.stop()
