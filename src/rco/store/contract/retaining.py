"""Dropping what is over its time, in small commits that each leave their record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from rco.model.decision import Decision
from rco.model.run import RunRow

__all__ = ["BORN_US", "Record", "Removed", "Retaining", "cut_mark"]

BORN_US = 3_600_000_000
"""Until so long after a capability was revoked a run may have begun with it that did not know: clocks differ, and
news take a moment. Later none can."""


def cut_mark(chain: str) -> str:
    """The cursor that says up to which link a chain was cut. No feed is called so."""
    return f"#cut/{chain}"


class Removed(msgspec.Struct, frozen=True):
    """What one commit removes. ``chains``: of each audit chain how many segments, and the last link they are of."""

    runs: int = 0
    events: int = 0
    letters: int = 0
    links: int = 0
    revocations: int = 0
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

    async def drop_weeks(self, before_us: int, over: Callable[[RunRow], bool], record: Record) -> list[Removed]:
        """Remove spans of the journal whole, where the keeper has such, with the runs that closed in them: those that
        ended before ``before_us``, in which no run is open and every closed one is ``over`` and need not stay. Each is
        a commit of its own. Nothing where there are no spans: ``drop_runs`` removes what is left."""
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

    @property
    def whole_chains(self) -> frozenset[str]:
        """Chains that are never cut: they hold what retention did to the others."""
        ...

    async def may_cut(self, chain: str, first_n: int, last_n: int) -> bool:
        """Whether nothing that is kept needs these links: no journal segment that they seal is left, and none of them
        is the newest one, which the next is written behind."""
        ...

    async def cut(self, chain: str, first_n: int, last_n: int, record: Record) -> Removed:
        """Remove the links ``first_n`` to ``last_n`` if they are the oldest of the chain, behind its ``cut_mark``, and
        ``may_cut``; the mark moves on in the same commit. Else nothing is removed."""
        ...

    async def count_revocations(self, before_us: int) -> tuple[int, int | None]:
        """How many revocations made before ``before_us`` have no effect any more, and when the first of them was made.
        Of capabilities those of which no run is left, open or closed, that can have been given what they gave: all
        began more than ``BORN_US`` later. Of namespaces those that a later one of the same has overtaken. Of keys none:
        a key may be put back. Never the newest one of all, whose number must not come again."""
        ...

    async def drop_revocations(self, before_us: int, limit: int, record: Record) -> Removed: ...
