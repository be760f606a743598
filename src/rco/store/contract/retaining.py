"""Dropping what is over its time, in small commits that each leave their record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from rco.model.decision import Decision
from rco.model.run import RunRow

__all__ = ["Record", "Removed", "Retaining"]


class Removed(msgspec.Struct, frozen=True):
    """What one commit removes. ``chains``: of each audit chain how many segments, and the last link they are of."""

    runs: int = 0
    events: int = 0
    letters: int = 0
    segments: int = 0
    chains: tuple[tuple[str, int, int], ...] = ()
    from_us: int = 0
    until_us: int = 0
    """When the runs among it began: from, and before."""


Record = Callable[[Removed], Decision]
"""The evidence of a commit that removes something; it stands in the same commit."""


class Retaining(Protocol):
    """Nothing open is ever touched. Each call is one short transaction, of at most ``limit`` things."""

    async def closed_runs(self, before_us: int, after: bytes, limit: int) -> tuple[list[RunRow], bytes | None]:
        """Closed runs that were opened before ``before_us``, by id upwards from ``after`` on. Without those that must
        stay: with a signal that nobody read, and those that another run was forked from or that belong to an open run
        as parent or child. At most ``limit`` are looked at; where to go on, or ``None`` at the end."""
        ...

    async def drop_runs(self, run_ids: list[bytes], record: Record) -> Removed:
        """Remove the runs with their journals and start keys, but for those that must stay by now. It may stop before
        the last one, so that nobody waits for long: ask again until nothing is removed."""
        ...

    async def count_events(self, before_us: int) -> tuple[int, int | None]:
        """How many events may go of those received before ``before_us``, and when the first of them was received. One
        that an open run could still look back for may not: any since the oldest open run of its namespace began."""
        ...

    async def drop_events(self, before_us: int, limit: int, record: Record) -> Removed: ...

    async def count_letters(self, before_us: int) -> tuple[int, int | None]:
        """How many dead letters were sent again before ``before_us``, and when the first of them was."""
        ...

    async def drop_letters(self, before_us: int, limit: int, record: Record) -> Removed: ...
