"""Removing expired claims without an index on their expiry."""

from __future__ import annotations

import sqlite3

__all__ = ["ClaimSweep"]

_EVERY = 512
_SLICE = 2048


class ClaimSweep:
    """Looks through a slice of the claims for every few that were accepted, round and round by key.

    Four old ones are looked at for each new one, so the table stays within a third above the claims that still count,
    and no single commit pays for more than one slice.
    """

    __slots__ = ("_after", "_since")

    def __init__(self) -> None:
        self._after = b""
        self._since = 0

    def accepted(self, cursor: sqlite3.Cursor, count: int, now_us: int) -> None:
        """Tell of ``count`` new claims in this transaction. A roll-back does no harm: the slice comes round again."""
        self._since += count
        if self._since < _EVERY:
            return
        self._since = 0
        last = cursor.execute(
            "SELECT digest FROM claim WHERE digest > ? ORDER BY digest LIMIT 1 OFFSET ?", (self._after, _SLICE - 1)
        ).fetchone()
        if last is None:
            cursor.execute("DELETE FROM claim WHERE digest > ? AND expires_us <= ?", (self._after, now_us))
            self._after = b""
        else:
            cursor.execute(
                "DELETE FROM claim WHERE digest > ? AND digest <= ? AND expires_us <= ?", (self._after, last[0], now_us)
            )
            self._after = last[0]
