"""The writing side of a keeper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from rco.model.decision import Decision
from rco.store.contract.changes import Changes

__all__ = ["Flushed", "Seal", "Sealer", "Writer"]


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The link that a commit adds to the audit chain. How it is computed is the business of ``rco.audit``.

    ``leaves`` are the 32-byte digests of the journal segments in this commit, one after the other.
    """

    writer: str
    n: int
    epoch: int
    at_us: int
    prev: bytes
    leaves: bytes
    decisions: bytes
    """JSON array in canonical form."""
    hash: bytes


class Sealer(Protocol):
    """Computes the digests of evidence. Poured into the keeper, which knows nothing about chains."""

    def leaf(self, run_id: bytes, first_seq: int, data: bytes) -> bytes:
        """The 32-byte digest of one journal segment."""
        ...

    def seal(
        self,
        *,
        writer: str,
        n: int,
        epoch: int,
        at_us: int,
        prev: bytes,
        leaves: bytes,
        decisions: list[Decision],
    ) -> Seal:
        """The next link. ``prev`` is the hash of the link before, 32 zero bytes for the first."""
        ...


class Flushed(msgspec.Struct, frozen=True, gc=False):
    """What a commit did, for metrics: how many records, how long it took, and which runs got a message. Where one node
    owns all, those that got their turn and something else stand in it twice."""

    n: int
    records: int
    size_bytes: int
    took_s: float
    woken: tuple[bytes, ...]
    decisions: int = 0


class Writer(Protocol):
    """Group commit without a timer: idle, it flushes at once; busy, it collects what arrives meanwhile.

    Everything is called on one event loop, and every callback comes back on it.
    """

    def changes(self, shard: int) -> Changes:
        """The transaction now being collected for ``shard``. A flush is scheduled; call it again after an await."""
        ...

    def watch(self, namespaces: frozenset[str]) -> None:
        """From now on ask the quotas of these namespaces in the commits of this writer; of others nothing is asked.
        They must be known before what they bound is admitted: see ``operations.spaces``."""
        ...

    def note(self, decision: Decision) -> None:
        """Record a decision that nobody waits for. Over the bound the oldest is dropped and counted."""
        ...

    @property
    def backlog(self) -> int:
        """Rows collected and not yet committed, for back-pressure."""
        ...

    @property
    def notes_dropped(self) -> int:
        """Decisions dropped from the bounded queue of ``note`` since start."""
        ...

    def on_flush(self, listener: Callable[[Flushed], None]) -> None:
        """Call ``listener`` after every commit, after the callbacks of what was in it."""
        ...

    def on_failure(self, listener: Callable[[BaseException], None]) -> None:
        """Call ``listener`` once when nothing more can be written (fenced, disk gone). The node must stop."""
        ...

    def conceal_with(self, conceal: Callable[[Changes], None]) -> None:
        """Call ``conceal`` with every transaction just before it is handed over: it encrypts payloads in place. What
        is sealed, stored and sent anywhere is what it left there. Raises nothing."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Flush what is there, then end. Nothing can be added afterwards."""
        ...
