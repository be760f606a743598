"""Small content: with the commit, then moved."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.simulation.planted.planting import Planted

from rco.objects.staging import StagedObjects
from rco.testing import transaction

__all__ = ["PLANTED"]


def acknowledge_without_the_row(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transaction, "stage", lambda *_: None)


def forget_before_it_is_moved(patch: pytest.MonkeyPatch) -> None:
    async def move(self: StagedObjects, some: list[Any]) -> bool:
        try:
            await self._rows.unstage(some)
            await self._inner.put_all([(one.key, one.data) for one in some])
        except Exception:  # noqa: BLE001 - as the genuine one
            return False
        return True

    patch.setattr(StagedObjects, "_move", move)


def ask_only_where_it_ends(patch: pytest.MonkeyPatch) -> None:
    """What another node put is not looked for in the store."""

    async def nothing(*_: Any) -> None:
        """Nobody has it."""

    patch.setattr(StagedObjects, "far", nothing)


def leave_it_to_who_died(patch: pytest.MonkeyPatch) -> None:
    async def never(_: StagedObjects) -> None:
        await asyncio.sleep(1e9)

    patch.setattr(StagedObjects, "_adopt_on", never)


MANY = {"puts": 40, "put_away": 0.1, "put_s": 0.02, "crashes": 4}
PLANTED: list[Planted] = [
    (acknowledge_without_the_row, "content", {"nodes": 2, **MANY}),
    (forget_before_it_is_moved, "content", {"nodes": 1, **MANY}),
    (ask_only_where_it_ends, "content", {"nodes": 3, **MANY}),
    (leave_it_to_who_died, "content", {"nodes": 1, **MANY}),
]
