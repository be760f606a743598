"""What a person asks of a store that is not well: runs that do not move, timers that are late, letters that wait."""

from __future__ import annotations

from typing import Protocol

import msgspec

from rco.model.run import Mode
from rco.store.contract.versions import OpenRuns

__all__ = ["STUCK_LOOKED_AT", "Diagnosis", "Idle", "Stuck"]

STUCK_LOOKED_AT = 1000


class Stuck(msgspec.Struct, frozen=True):
    """An open run. ``since_us`` is when it last got on."""

    run_id: bytes
    workflow: str
    since_us: int


class Idle(msgspec.Struct, frozen=True):
    """A run that waits for a person. ``detail`` is the JSON that says why, or ``None``."""

    run_id: bytes
    workflow: str
    mode: Mode
    detail: bytes | None


class Diagnosis(Protocol):
    """Questions over all namespaces. May block."""

    def stuck_runs(self, before_us: int) -> list[Stuck]:
        """Runs in memory, or to be loaded, that got on last before ``before_us``: the longest still first.

        Looks at the oldest ``STUCK_LOOKED_AT`` of them.
        """
        ...

    def unsettled(self) -> tuple[int, int]:
        """How many runs are blocked, and how many are in doubt."""
        ...

    def idle_runs(self, mode: Mode, limit: int) -> list[Idle]:
        """The oldest runs in ``mode``."""
        ...

    def overdue(self, before_us: int) -> tuple[int, int]:
        """How many parked runs were due before ``before_us``, and when the first of them was."""
        ...

    def homeless(self) -> list[OpenRuns]:
        """Open runs that wait because whoever owns their shard does not have the version they are pinned to, by
        version."""
        ...

    def waiting_letters(self) -> int:
        """How many dead letters nobody has sent again."""
        ...

    def staged(self, before_us: int) -> tuple[int, int]:
        """How many small objects that were put before then still wait to be moved, and when the first was put."""
        ...
