"""Reading an outbox with several workers: one that fails leaves none behind."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from rco.datasource.options import Outbox
from rco.datasource.outbox import OutboxReader
from rco.kit.clock import SystemClock
from rco.telemetry.metrics import Metrics


class Away:
    """A source of which one connection hangs and the next cannot be had."""

    def __init__(self) -> None:
        self.asked = self.hanging = 0

    async def pool(self) -> Any:
        self.asked += 1
        if self.asked % 2 == 0:
            await asyncio.sleep(0)
            raise ConnectionError("away")
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.hanging -= 1


async def test_a_worker_that_fails_leaves_no_other_reading() -> None:
    source = Away()
    outbox = Outbox(name="o", database="d", workers=2, listen=False)
    reader = OutboxReader(
        outbox,
        cast("Any", source),
        cast("Any", None),
        clock=SystemClock(),
        metrics=Metrics(),
        trouble=lambda _, problem: None,
    )
    with pytest.raises(ConnectionError, match="away"):
        await reader._drain()
    assert source.hanging == 0
