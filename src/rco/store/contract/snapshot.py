"""A snapshot: everything a store holds at one moment, in pages, for an export that must not contradict itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from rco.model.message import Message
from rco.model.run import RunRow
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal

__all__ = ["LeaseRange", "NodeRow", "Snapshot"]


class LeaseRange(msgspec.Struct, frozen=True):
    """Shards ``first`` to ``last`` have the same owner and epoch. ``owner`` is ``None`` where nobody owns them."""

    first: int
    last: int
    owner: str | None
    epoch: int


class NodeRow(msgspec.Struct, frozen=True):
    """A node as the store knows it. ``seen_us`` is its last heartbeat; ``draining``: it takes no new work."""

    name: str
    pid: int
    epoch: int
    started_us: int
    seen_us: int
    draining: bool = False


class Snapshot(Protocol):
    """One moment of a store. Methods may block: call them off the event loop, one at a time, from any thread."""

    def schema(self) -> str:
        """The newest migration that is applied, or an empty text."""
        ...

    def head(self) -> Seal | None: ...

    def seals(self, first_n: int, limit: int) -> list[Seal]: ...

    def segments(self, first_n: int, last_n: int) -> list[Segment]:
        """What the commits ``first_n`` to ``last_n`` wrote."""
        ...

    def leases(self) -> list[LeaseRange]: ...

    def nodes(self) -> list[NodeRow]: ...

    def runs(self) -> Iterator[RunRow]:
        """Every run, open and closed, of every namespace, by id upwards."""
        ...

    def journal(self, run_id: bytes) -> list[Segment]: ...

    def messages(self, run_id: bytes) -> list[Message]: ...

    def due(self, run_id: bytes) -> int | None:
        """When a parked run is due, or ``None``."""
        ...
