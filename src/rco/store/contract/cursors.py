"""Cursors: how far somebody has read who must go on there after a crash."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Cursors"]


class Cursors(Protocol):
    async def cursor(self, name: str) -> int:
        """Where ``name`` stands; 0 when it never moved."""
        ...

    async def move_cursor(self, name: str, to: int) -> None:
        """Durable when this returns. A cursor never goes back: a move to less than where it stands does nothing."""
        ...
