"""Small objects that came with a commit and are not yet where objects are kept: written by ``Changes.staged``, read by
whoever misses them there, and removed by who has moved them."""

from __future__ import annotations

from typing import Protocol

from rco.model.staged import StagedObject

__all__ = ["StagedRows"]


class StagedRows(Protocol):
    async def staged(self, key: str) -> StagedObject | None:
        """What was last put under ``key``, if it is still here."""
        ...

    async def staged_before(self, before_us: int, limit: int) -> list[StagedObject]:
        """What was put before then, oldest first."""
        ...

    async def unstage(self, moved: list[StagedObject]) -> None:
        """Remove these. What was put under the same key since stays. A second call changes nothing."""
        ...
