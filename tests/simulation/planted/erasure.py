"""What is gone with the key of its namespace."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.simulation.planted.planting import Planted

from rco.encryption.concealing import Concealing
from rco.encryption.keys import Keys
from rco.operations.erasure import Erasure
from rco.testing.store_reader import ModelReader

__all__ = ["PLANTED"]


def erase_and_keep_the_key(patch: pytest.MonkeyPatch) -> None:
    erase = ModelReader.erase_namespace_keys

    async def keep(self: ModelReader, namespace: str, *given: Any) -> int:
        before = {one.key_id: one.wrapped for one in self._database.tables.namespace_keys}
        count = await erase(self, namespace, *given)
        keys = self._database.tables.namespace_keys
        keys[:] = [msgspec.structs.replace(one, wrapped=before[one.key_id]) for one in keys]
        return count

    patch.setattr(ModelReader, "erase_namespace_keys", keep)


def details_as_they_are(patch: pytest.MonkeyPatch) -> None:
    """What a run closed with is not encrypted."""
    patch.setattr(Concealing, "_detailed", lambda _, one: one)


def believe_what_was_heard_last(patch: pytest.MonkeyPatch) -> None:
    """A node that has not heard from the store for long does not ask before it opens something."""

    async def trust(_: Keys) -> None:
        """What is known is good enough."""

    async def seldom(self: Keys) -> None:
        while True:
            await asyncio.sleep(30.0)
            await self.read()

    patch.setattr(Keys, "fresh", trust)
    patch.setattr(Keys, "_beat", seldom)


def go_on_after_the_erasure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Erasure, "_hear", lambda *_: None)


PLANTED: list[Planted] = [
    (erase_and_keep_the_key, "erased", {"erasure": True}),
    (details_as_they_are, "erased", {"erasure": True}),
    (believe_what_was_heard_last, "erased", {"erasure": True, "nodes": 3}),
    (go_on_after_the_erasure, "live", {"from": 30, "erasure": True}),
]
