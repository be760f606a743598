"""A queue's line as this node holds it: what memory knows, and what is under way for it."""

from __future__ import annotations

import msgspec

from rco.queues.line import Line

__all__ = ["Held"]


class Held(msgspec.Struct):
    """A line in memory, with what is under way for it."""

    line: Line
    shard: int
    granting: set[bytes]
    """Runs whose turn is being committed."""
    changed: set[bytes]
    """Runs that were heard of while a read was under way: what it says of them is old."""
    reads: int = 0
    kicked: bool = False
    stale: bool = True
    """It is to be read anew."""
    reading: bool = False
    uncounted: int = 0
    """Counts in a row that were passed over."""

    def heard(self, run_id: bytes) -> None:
        """Something became of this run."""
        if self.reads:
            self.changed.add(run_id)

    def begin_read(self) -> None:
        """From here on what is heard is newer than what is read."""
        self.reads += 1

    def end_read(self) -> None:
        """What was read has been taken up."""
        self.reads -= 1
        if not self.reads:
            self.changed.clear()
