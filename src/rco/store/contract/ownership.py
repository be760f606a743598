"""Ownership: which shards this node may write for, and until when it may act on the world for them.

The fence in the database protects the journal. It cannot protect the world outside: a node that was stopped for longer
than its lease must not send what it was about to send. So a node also watches its own monotonic clock, and starts
nothing after ``act_until_s``.

A run belongs to the shard that its identity says, among those of its pool: runs that are pinned to a version have
shards of their own, from 256 on (``rco.store.pools``). Where there is one owner of everything, there is one pool.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from rco.store.contract.versions import Pins

__all__ = ["Ownership", "Pooled", "Shards", "SoleOwner"]

Shards = frozenset[int]
Pooled = Mapping[str, Shards | None]
"""By pin, of which shards of its pool runs are asked for, 0 to 255 (``None``: of all)."""


class Ownership(Protocol):
    """Answers from memory; changes are told on the loop, after they are true in the database."""

    @property
    def act_until_s(self) -> float:
        """On the monotonic clock: after this nothing may be sent for any shard. Infinite for a sole owner."""
        ...

    def shards(self) -> Shards | None:
        """The shards owned now, those of pools included; ``None`` stands for all there are."""
        ...

    def owns(self, shard: int) -> bool: ...

    def home(self, run_id: bytes, version: str) -> int:
        """The shard of a run that is of ``version``; one that nobody owns when its pool is not known here yet."""
        ...

    def touches(self, run_id: bytes) -> bool:
        """Whether the run may be owned here, whatever its version."""
        ...

    def covers(self, run_id: bytes) -> bool:
        """Whether the run is owned here, whatever its version."""
        ...

    def among(self, shards: Shards | None, pins: Pins | None) -> tuple[Shards | None, Pooled | None]:
        """How a reader is asked for runs of ``shards`` that are pinned to nothing or to one of ``pins`` (``None``:
        whatever they are pinned to)."""
        ...

    def place(self, byte: int, version: str = "") -> int:
        """Where a new run of ``version`` is to be, as the last byte of its identity: in a shard owned here if there is
        one; ``byte`` is random. Raises ``Overloaded`` when none is owned yet of those that are in no pool. A pool whose
        shards are others' takes the run all the same: the keeper hands it over (``HANDED``)."""
        ...

    def on_gained(self, listener: Callable[[Shards], None]) -> None:
        """Call ``listener`` when shards were taken over: load their runs."""
        ...

    def on_leaving(self, listener: Callable[[Shards], None]) -> None:
        """Call ``listener`` when shards are about to be handed over or were lost: let go of their runs at once. What
        was appended before is flushed with the release; what is appended after it is refused."""
        ...

    def on_renewed(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when ``act_until_s`` has moved on after it had passed."""
        ...


class SoleOwner:
    """Owns every shard for as long as the process lives: the owner of an embedded database."""

    act_until_s = math.inf

    def shards(self) -> Shards | None:
        return None

    def owns(self, shard: int) -> bool:  # noqa: ARG002 - all of them
        return True

    def home(self, run_id: bytes, version: str) -> int:  # noqa: ARG002 - there is one pool
        return run_id[15]

    def touches(self, run_id: bytes) -> bool:  # noqa: ARG002 - likewise
        return True

    def covers(self, run_id: bytes) -> bool:  # noqa: ARG002 - likewise
        return True

    def among(self, shards: Shards | None, pins: Pins | None) -> tuple[Shards | None, Pooled | None]:
        return shards, None if pins is None else dict.fromkeys(pins)

    def place(self, byte: int, version: str = "") -> int:  # noqa: ARG002 - likewise
        return byte

    def on_gained(self, listener: Callable[[Shards], None]) -> None:
        """Nothing is ever gained."""

    def on_leaving(self, listener: Callable[[Shards], None]) -> None:
        """Nothing is ever lost."""

    def on_renewed(self, listener: Callable[[], None]) -> None:
        """Nothing ever runs out."""
