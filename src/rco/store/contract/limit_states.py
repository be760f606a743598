"""States of limits: small documents that all nodes change by compare and swap, under the database's own clock.

What a limit means, who gets how much of it and for how long, is decided in ``rco.egress``; a store only promises that
of two changes to the same version one wins, that what won is durable, and what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = ["CLOSED", "STATES_LIMIT", "LimitState", "LimitStates", "StatesRead"]

CLOSED = "closed"
"""The kind of states that all nodes are told of when one changes."""
STATES_LIMIT = 10_000
"""So many states of one kind are read at most."""


class LimitState(msgspec.Struct, frozen=True):
    """One document. The first ``version`` is 1; each change makes the next."""

    kind: str
    name: str
    version: int
    body: bytes


class StatesRead(msgspec.Struct, frozen=True):
    """What stood there, and the database's time at some moment between question and answer."""

    now_us: int
    states: list[LimitState]


class LimitStates(Protocol):
    async def limit_states(self, kind: str, names: Sequence[str] | None = None) -> StatesRead:
        """The states of ``kind`` with these names, or all of them, by name. What was never written is left out."""
        ...

    async def swap_limits(self, states: Sequence[LimitState]) -> StatesRead:
        """Write each state whose ``version`` is one more than what stands there (0 where nothing does), each for
        itself. Gives those that were written, durably; for the others read again. Where the answer is lost it may have
        been done, and a second call then writes nothing."""
        ...
