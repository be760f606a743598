"""What is kept by reference."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.simulation.planted.planting import Planted

from rco.engine.owner import Owner
from rco.engine.waiting import Waits
from rco.kit.digest import digest
from rco.model.payload import NAME_BYTES, Reference
from rco.payloads.sweeping import Sweeper, Swept
from rco.scheduler.commit import Commit
from rco.store.contract.payloads import UserKind
from rco.testing.shelf import ShelfDoor
from rco.testing.store_reader import ModelReader

__all__ = ["PLANTED"]


def refer_before_keeping(patch: pytest.MonkeyPatch) -> None:
    """The reference is committed, and the object comes after."""

    async def keep(self: ShelfDoor, namespace: str, data: bytes, *, json: bool = False) -> Reference:
        del namespace
        name = self._random.randbytes(NAME_BYTES)
        asyncio.get_running_loop().call_later(0.2, self._shelf.put, name, data)
        return Reference(name, digest(data), len(data), json)

    patch.setattr(ShelfDoor, "keep", keep)


def say_nothing_of_uses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Owner, "use", lambda *_, **__: None)


def take_over_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """A run that takes an event by reference does not say that it uses it too."""
    own = Waits._referring

    def silent(self: Waits, live: Any, message: Any) -> Any:
        before = len(self._owner.writer.changes(live.shard).payloads)
        stored = own(self, live, message)
        del self._owner.writer.changes(live.shard).payloads[before:]
        return stored

    patch.setattr(Waits, "_referring", silent)


def start_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """A run of a schedule does not say that it uses the schedule's object too."""
    own = Commit.send

    def silent(self: Commit, made: Any, done: Any, failed: Any) -> None:
        for _, opening in made.starts:
            opening.payloads.clear()
        own(self, made, done, failed)

    patch.setattr(Commit, "send", silent)


def collect_without_grace(patch: pytest.MonkeyPatch) -> None:
    """What nothing refers to yet goes at the first look."""
    look = Sweeper.look

    async def at_once(self: Sweeper, now_us: int, grace_s: float, *, preview: bool = False) -> Any:
        del grace_s
        return await look(self, now_us, -1000.0, preview=preview)

    patch.setattr(Sweeper, "look", at_once)


def collect_what_closed_runs_use(patch: pytest.MonkeyPatch) -> None:
    """A run that has closed counts as gone."""
    used = ModelReader.payloads_used

    async def of_open(self: ModelReader, names: list[bytes]) -> set[bytes]:
        held = await used(self, names)
        tables = self._database.tables
        return held & {one.name for one in tables.payloads if one.kind is UserKind.RUN and one.who in tables.runs}

    patch.setattr(ModelReader, "payloads_used", of_open)


def collect_nothing(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> Swept:
        return Swept()

    patch.setattr(Sweeper, "look", nothing)


SWEPT = {
    "collect_every_s": 2.0,
    "pools": (),
    "payload_over_bytes": 1,
    "payload_away": 0.1,
    "payload_s": 0.02,
    "versions": False,
}


LARGE = {"payload_over_bytes": 1, "payload_away": 0.1, "payload_s": 0.02, "versions": False}


PLANTED: list[Planted] = [
    (refer_before_keeping, "payloads", {"nodes": 1, "crashes": 4, **LARGE}),
    (say_nothing_of_uses, "payloads", LARGE),
    (take_over_without_a_word, "payloads", LARGE),
    (collect_without_grace, "payloads", SWEPT),
    (collect_what_closed_runs_use, "payloads", SWEPT),
    (collect_nothing, "payloads", {**SWEPT, "payload_away": 0.5, "crashes": 4}),
    (start_without_a_word, "payloads", {"schedules": 3, **LARGE}),
]
