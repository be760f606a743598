"""Removing expired claims without an index on their expiry, and outside the commits."""

from __future__ import annotations

from rco.store.postgres.connection import Line

__all__ = ["ClaimSweep"]

_EVERY = 512
_SLICE = 2048
_END = "SELECT digest FROM claim WHERE digest > $1 ORDER BY digest LIMIT 1 OFFSET $2"
_REST = "DELETE FROM claim WHERE digest > $1 AND expires_us <= $2"
_PART = "DELETE FROM claim WHERE digest > $1 AND digest <= $3 AND expires_us <= $2"


class ClaimSweep:
    """Looks through a slice of the claims for every few that were given, round and round by key.

    Four old ones are looked at for each new one, so the table stays within a third above the claims that still count.
    """

    __slots__ = ("_after", "_since")

    def __init__(self) -> None:
        self._after = b""
        self._since = 0

    def given(self, count: int) -> bool:
        """Tell of ``count`` new claims. Whether it is time to sweep."""
        self._since += count
        return self._since >= _EVERY

    async def sweep(self, line: Line, now_us: int) -> None:
        """One slice for every few claims that were given since."""
        while self._since >= _EVERY:
            self._since -= _EVERY
            last = await line.fetch(_END, self._after, _SLICE - 1)
            if last:
                await line.fetch(_PART, self._after, now_us, last[0][0])
                self._after = last[0][0]
            else:
                await line.fetch(_REST, self._after, now_us)
                self._after = b""
