"""What a file in ``bench/growth/curves`` holds: ``CURVE``; and the points that it gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from bench.figure import Reach
from bench.question import STORES
from rco.measure.scratch import Place, scratch

__all__ = ["Curve", "Growing", "Line", "Point"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One value over the sizes. ``growth``: what its value at the largest size may come to, as a multiple of that at
    the smallest; ``bound``: what the value itself is to reach at the largest size."""

    name: str
    text: str
    unit: str
    growth: Reach | None = None
    bound: Reach | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One value at one size."""

    line: str
    x: int
    value: float
    cpu_s_per_1000: float | None = None
    settings: dict[str, Any] = {}


class Growing(msgspec.Struct, frozen=True, kw_only=True):
    """One curve on one store: the sizes to ask for, a folder on the disk to be measured, the server, and how much to do
    at each size (1 is what is published)."""

    sizes: list[int]
    folder: Path
    store: str
    server: str = ""
    scale: float = 1.0

    def count(self, full: int, least: int = 1) -> int:
        """``full`` things at scale 1, fewer at a smaller scale, never below ``least``."""
        return max(least, round(full * self.scale))

    def place(self) -> AbstractAsyncContextManager[Place]:
        """A new, empty, migrated database."""
        return scratch(self.server if self.store == "postgresql" else str(self.folder / "rco.db"))


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """``ask`` gives the points, size after size. ``about`` says in words what was done and what it includes."""

    title: str
    about: str
    x: str
    sizes: tuple[int, ...]
    lines: tuple[Line, ...]
    ask: Callable[[Growing], AsyncIterator[Point]]
    stores: tuple[str, ...] = STORES
