"""A snapshot: everything a store holds at one moment, in pages, for an export that must not contradict itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from rco.model.message import Message
from rco.model.run import RunRow
from rco.store.contract.diagnosis import Diagnosis
from rco.store.contract.namespace_keys import NamespaceKey
from rco.store.contract.reader import Segment
from rco.store.contract.writer import Seal

__all__ = ["History", "LeaseRange", "NodeRow", "Snapshot"]


class LeaseRange(msgspec.Struct, frozen=True):
    """Shards ``first`` to ``last`` have the same owner and epoch. ``owner`` is ``None`` where nobody owns them."""

    first: int
    last: int
    owner: str | None
    epoch: int


class NodeRow(msgspec.Struct, frozen=True):
    """A node as the store knows it. ``draining``: it takes no new work."""

    name: str
    pid: int
    epoch: int
    started_us: int
    seen_us: int | None
    """Its last sign of life by its own clock, where that is kept."""
    draining: bool = False
    alive_s: float | None = None
    """How long its heartbeat counts still; 0 when it left or ran out. ``None`` where there are no heartbeats."""
    skew_us: int | None = None
    """How far its clock was ahead of the database's at its last heartbeat."""


class History(msgspec.Struct, frozen=True):
    """One run with all that belongs to it. ``due_us`` is when a parked run is due."""

    row: RunRow
    segments: list[Segment]
    messages: list[Message]
    due_us: int | None


class Snapshot(Diagnosis, Protocol):
    """One moment of a store. Methods may block: call them off the event loop, one at a time, from any thread."""

    def schema(self) -> str:
        """The newest migration that is applied, or an empty text."""
        ...

    def payload_space(self) -> str:
        """What the database's objects stand under, see ``rco.store.contract.payloads``."""
        ...

    def chains(self) -> list[str]:
        """Names of the audit chains, in order; ``[""]`` where there can be no more than one."""
        ...

    def head(self, chain: str = "") -> Seal | None: ...

    def seals(self, first_n: int, limit: int, chain: str = "") -> list[Seal]: ...

    def segments(self, first_n: int, last_n: int, chain: str = "") -> list[Segment]:
        """What the commits ``first_n`` to ``last_n`` of a chain wrote."""
        ...

    def trimmed(self) -> dict[str, int]:
        """By chain, the last link of which retention removed journal segments, as the store's own record says."""
        ...

    def leases(self) -> list[LeaseRange]: ...

    def nodes(self) -> list[NodeRow]: ...

    def namespace_keys(self) -> list[NamespaceKey]:
        """Every key of a namespace, wrapped, in the order of their last changes."""
        ...

    def histories(self) -> Iterator[History]:
        """Every run, open and closed, of every namespace, by id upwards; one run's journal is in memory at a time, or
        a few small ones'."""
        ...
