"""Collecting payloads in a simulated world: the same duty that a node has, on the shelf, within seconds instead of
hours."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from rco.operations.desk import Desk
from rco.operations.payload_gc import PayloadGc
from rco.payloads.options import PayloadOptions
from rco.payloads.sweeping import Sweeper
from rco.testing.housekeeping import ModelDesk
from rco.testing.plan import Plan
from rco.testing.shelf import SPACE, ShelfDoor
from rco.testing.store import ModelKeeper

__all__ = ["Collecting"]


class Collecting:
    """One node's duty; it does it while it owns shard 0."""

    def __init__(self, plan: Plan, keeper: ModelKeeper, shelf: ShelfDoor, desk: ModelDesk) -> None:
        # Within bounds that are below those of the settings: a world lasts for minutes.
        options = msgspec.structs.replace(
            PayloadOptions(), gc_every_s=plan.collect_every_s, gc_grace_s=plan.collect_grace_s
        )
        sweeper = Sweeper(cast("Any", shelf), cast("Any", keeper.reader), SPACE)
        self._gc, self._desk = PayloadGc(sweeper, options), desk

    def begin(self) -> None:
        self._gc.begin(cast("Desk", self._desk))

    async def stop(self) -> None:
        await self._gc.stop()
