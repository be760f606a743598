"""Schedules as a keeper sees them: a row whose revision says whether a change still fits what is there."""

from __future__ import annotations

from typing import Protocol

import msgspec

from rco.store.contract.ownership import Shards

__all__ = ["TOUCHED_US", "ScheduleReader", "ScheduleRow", "ScheduleWrite"]

TOUCHED_US = 0
"""``due_us`` of a row that somebody else than its owner has changed, for the owner to look at."""


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule. Its shard is that of its identity, as with a run; ``body`` is for who understands schedules."""

    schedule_id: bytes
    namespace: str
    name: str
    origin: str
    revision: int
    due_us: int | None
    """When its owner must look at it; ``None``: not by itself."""
    rules: str
    """Under which rules (of time zones and calendars) ``due_us`` was worked out."""
    body: bytes
    payload: bytes | None = None
    """The name of the object that holds its input, where that is too large for the row."""


class ScheduleWrite(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule is put in (``expect`` is ``None``), or changed or removed if its revision is still ``expect``.

    ``row`` is what it is afterwards, with its new revision; of one that is ``gone`` only the identity counts.
    ``owned``: written by the owner of its shard, and refused when that is another node by now.
    """

    row: ScheduleRow
    expect: int | None
    gone: bool = False
    owned: bool = False


class ScheduleReader(Protocol):
    async def schedule(self, schedule_id: bytes) -> ScheduleRow | None: ...

    async def schedule_named(self, namespace: str, name: str) -> ScheduleRow | None: ...

    async def schedules(self, namespace: str, after: str, limit: int, origin: str | None = None) -> list[ScheduleRow]:
        """Schedules with names greater than ``after``, by name; of one ``origin`` when it is given."""
        ...

    async def count_schedules(self, namespace: str) -> int: ...

    async def schedules_due(
        self, after: tuple[int, bytes], before_us: int, limit: int, shards: Shards | None = None
    ) -> list[ScheduleRow]:
        """Schedules of ``shards`` with (``due_us``, identity) greater than ``after`` and ``due_us`` below
        ``before_us``, in that order."""
        ...

    async def schedules_under_others(
        self, rules: str, after: bytes, limit: int, shards: Shards | None = None
    ) -> list[ScheduleRow]:
        """Schedules of ``shards`` whose ``rules`` are others than these, by identity from ``after`` on."""
        ...
