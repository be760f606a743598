"""What a file in ``bench/questions`` holds: ``QUESTION``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from bench.figure import Asked, Measured
from rco.measure.scratch import Place, scratch

__all__ = ["BOTH", "STORES", "Question", "Round"]

STORES = ("sqlite", "postgresql")
TEMPLATE = "rco_template"
"""The database with nothing but the schema on the servers of ``tests.servers.postgres``."""
BOTH = STORES


class Round(msgspec.Struct, frozen=True):
    """One round: an empty folder of its own on the disk to be measured, how large to make it (1 is the size of the
    published figures), and the store with the server that it is on, if it is on one."""

    folder: Path
    scale: float = 1.0
    store: str = "sqlite"
    server: str = ""

    def count(self, full: int, least: int = 1) -> int:
        """``full`` things at scale 1, fewer at a smaller scale, never below ``least``."""
        return max(least, round(full * self.scale))

    def place(self) -> AbstractAsyncContextManager[Place]:
        """A new, empty, migrated database."""
        if self.store == "postgresql":
            return scratch(self.server, TEMPLATE)
        return scratch(str(self.folder / "rco.db"))


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """``ask`` runs one round, in a process of its own, on a uvloop loop.

    ``raw``: a limit of the machine rather than a figure of ours. ``stores``: where the rows can go; ``("-",)`` for
    nowhere. ``rounds_max``: for what takes long and hardly varies. ``alongside``: another question, on the same store,
    in whose time it is asked when both are; for what only waits beside what mostly waits.
    """

    asked: tuple[Asked, ...]
    ask: Callable[[Round], Coroutine[Any, Any, list[Measured]]]
    raw: bool = False
    stores: tuple[str, ...] = ("sqlite",)
    rounds_max: int = 99
    alongside: str = ""
