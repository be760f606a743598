"""What the collector takes for nothing to write, and what it makes one transaction of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from rco.errors import StoreError
from rco.store.collector import Batch, Collector, Committed, Listeners, _has_rows
from rco.store.contract.changes import Changes, Draft
from rco.store.contract.writer import Flushed

_CALLBACKS = {"then", "lost"}
_LISTS = [name for name in Changes.__slots__ if isinstance(getattr(Changes(), name), list) and name not in _CALLBACKS]


@pytest.mark.parametrize("name", _LISTS)
def test_every_kind_of_row_is_one(name: str) -> None:
    changes = Changes()
    assert not _has_rows(changes)
    getattr(changes, name).append(object())
    assert _has_rows(changes)


@pytest.mark.parametrize("name", sorted(_CALLBACKS))
def test_a_callback_alone_is_nothing_to_write(name: str) -> None:
    changes = Changes()
    getattr(changes, name).append(object())
    assert not _has_rows(changes)


class _Wire:
    """What a collector hands over, and the answers to it."""

    def __init__(self) -> None:
        self.sent: list[Batch] = []
        self.collector = Collector(self.sent.append, Listeners(), 8)
        self.collector.begin()
        self.told: list[str] = []
        self.lost: list[str] = []

    def add(self, name: str, then: Callable[[], None] | None = None, records: int = 8) -> None:
        changes = self.collector.changes()
        changes.drafts.append(Draft(name.encode(), 0))
        changes.records += records
        changes.then.append((self._tell, (name, then)))
        changes.lost.append(lambda _: self.lost.append(name))

    def _tell(self, name: str, then: Callable[[], None] | None) -> None:
        self.told.append(name)
        if then is not None:
            then()

    def names(self) -> list[list[str]]:
        return [[draft.run_id.decode() for draft in batch.changes.drafts] for batch in self.sent]


_COMMITTED = Committed([], [], Flushed(1, 1, 1, 0.0, (), 0))


async def test_what_follows_goes_with_what_waited() -> None:
    wire = _Wire()

    def step() -> None:
        # As the engine does it: a task that has its result in its first turn.
        asyncio.get_running_loop().call_soon(wire.add, "a2")

    wire.add("a1", step)
    await asyncio.sleep(0)
    wire.add("b1")
    assert wire.collector.is_split
    await wire.collector.joined(wire.sent[0], _COMMITTED)
    assert wire.names() == [["a1"], ["b1", "a2"]]
    assert wire.told == ["a1"]
    assert not wire.collector.is_split


@pytest.mark.parametrize(
    ("in_flight", "waiting", "split"),
    [(1, 0, False), (1, 7, False), (1, 8, True), (127, 127, True), (1, 128, False), (128, 8, False)],
)
async def test_neither_a_few_nor_large_ones_are_joined(in_flight: int, waiting: int, split: bool) -> None:
    wire = _Wire()
    wire.add("a", records=in_flight)
    await asyncio.sleep(0)
    if waiting:
        wire.add("b", records=waiting)
    assert wire.collector.is_split is split


async def test_a_failure_while_joining_loses_only_what_was_not_committed() -> None:
    wire = _Wire()
    wire.add("a", lambda: wire.collector.failed(None, StoreError("gone")))
    await asyncio.sleep(0)
    wire.add("b")
    await wire.collector.joined(wire.sent[0], _COMMITTED)
    assert (wire.told, wire.lost) == (["a"], ["b"])
    assert len(wire.sent) == 1


async def test_a_stop_while_joining_hands_over_what_waited() -> None:
    wire = _Wire()
    wire.add("a", lambda: wire.collector.close(StoreError("stopped")))
    await asyncio.sleep(0)
    wire.add("b")
    await wire.collector.joined(wire.sent[0], _COMMITTED)
    idle = asyncio.ensure_future(wire.collector.idle())
    await asyncio.sleep(0)
    assert wire.names() == [["a"], ["b"]]
    assert not idle.done()
    wire.collector.finished(wire.sent[1], _COMMITTED)
    await idle
    assert wire.told == ["a", "b"]


async def test_joining_leaves_nothing_busy() -> None:
    wire = _Wire()
    wire.add("a")
    await asyncio.sleep(0)
    wire.add("b")
    await wire.collector.joined(wire.sent[0], _COMMITTED)
    await wire.collector.joined(wire.sent[1], _COMMITTED)
    await wire.collector.idle()
    wire.add("c")
    await asyncio.sleep(0)
    assert wire.names() == [["a"], ["b"], ["c"]]
