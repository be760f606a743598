"""What a file in ``bench/questions`` holds: ``QUESTION``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from bench.figure import Asked, Measured

__all__ = ["Question", "Round"]


class Round(msgspec.Struct, frozen=True):
    """One round: an empty folder of its own on the disk to be measured, and how large to make it (1 is the size of
    the published figures)."""

    folder: Path
    scale: float = 1.0

    def count(self, full: int, least: int = 1) -> int:
        """``full`` things at scale 1, fewer at a smaller scale, never below ``least``."""
        return max(least, round(full * self.scale))


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """``ask`` runs one round, in a process of its own, on a uvloop loop.

    ``raw``: a limit of the machine rather than a figure of ours. ``store``: where the rows went, or ``-``.
    ``rounds_max``: for what takes long and hardly varies.
    """

    asked: tuple[Asked, ...]
    ask: Callable[[Round], Coroutine[Any, Any, list[Measured]]]
    raw: bool = False
    store: str = "sqlite"
    rounds_max: int = 99
