"""What staged objects mean, in plain collections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rco.model.staged import StagedObject

Tables = Any
"""``rco.testing.tables.Tables``, which imports this."""

__all__ = ["before", "remove", "stage"]


def stage(tables: Tables, staged: Iterable[StagedObject]) -> None:
    """Write ``staged`` down; of one key the last stays."""
    tables.staged |= {one.key: one for one in staged}


def before(tables: Tables, before_us: int, limit: int) -> list[StagedObject]:
    """What was put before then, oldest first."""
    found = [one for one in tables.staged.values() if one.put_us < before_us]
    return sorted(found, key=lambda one: one.put_us)[:limit]


def remove(tables: Tables, moved: list[StagedObject]) -> None:
    """Remove these, but for what was put again."""
    gone = {(one.key, one.put_us) for one in moved}
    tables.staged = {key: one for key, one in tables.staged.items() if (key, one.put_us) not in gone}
