"""Ownership: which shards this node may write for, and until when it may act on the world for them.

The fence in the database protects the journal. It cannot protect the world outside: a node that was stopped for longer
than its lease must not send what it was about to send. So a node also watches its own monotonic clock, and starts
nothing after ``act_until_s``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

__all__ = ["Ownership", "Shards", "SoleOwner"]

Shards = frozenset[int]


class Ownership(Protocol):
    """Answers from memory; changes are told on the loop, after they are true in the database."""

    @property
    def act_until_s(self) -> float:
        """On the monotonic clock: after this nothing may be sent for any shard. Infinite for a sole owner."""
        ...

    def shards(self) -> Shards | None:
        """The shards owned now; ``None`` stands for all there are."""
        ...

    def owns(self, shard: int) -> bool: ...

    def place(self, byte: int) -> int:
        """A shard owned here for a new run; ``byte`` is random. Raises ``Overloaded`` when none is owned yet."""
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

    def place(self, byte: int) -> int:
        return byte

    def on_gained(self, listener: Callable[[Shards], None]) -> None:
        """Nothing is ever gained."""

    def on_leaving(self, listener: Callable[[Shards], None]) -> None:
        """Nothing is ever lost."""

    def on_renewed(self, listener: Callable[[], None]) -> None:
        """Nothing ever runs out."""
