"""Retention in a simulated world: the same duty that a node has, on a model keeper, within seconds instead of weeks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from rco.engine.engine import Engine
from rco.kit.clock import Clock
from rco.model.decision import Decision
from rco.model.retention import RetentionOptions
from rco.operations.desk import Desk
from rco.operations.retention import Retention
from rco.telemetry.metrics import Metrics
from rco.testing.store import ModelKeeper

__all__ = ["Housekeeping", "ModelDesk"]


class ModelDesk:
    """Of an operation's desk what a duty asks for."""

    spaces = None

    def __init__(self, engine: Engine, keeper: ModelKeeper, clock: Clock, told: Callable[[str], None]) -> None:
        self.engine, self.clock, self._told = engine, clock, told
        self.writer, self.reader = keeper.writer, keeper.reader
        self.metrics = Metrics(process=False)
        self.log = self

    def note(self, decision: Decision) -> None:
        self.writer.note(decision)

    def warning(self, event: str, **fields: Any) -> None:
        """As a log; a node that cannot do it now does it later."""
        self._told(f"{event}: {fields}")


class Housekeeping:
    """One node's duty."""

    def __init__(self, options: RetentionOptions, keeper: ModelKeeper, desk: ModelDesk) -> None:
        self._retention = Retention(keeper.retaining, options)
        self._desk = desk

    def begin(self) -> None:
        self._retention.begin(cast("Desk", self._desk))

    async def stop(self) -> None:
        await self._retention.stop()
