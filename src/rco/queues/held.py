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
    """Runs that were heard of while a read was under way: where it says that they wait, that is old."""
    freed: set[bytes]
    """Those of them whose permits are free since: where it says that they run, that is old too. One that was only
    paused keeps the permit it may have."""
    reads: int = 0
    kicked: bool = False
    stale: bool = True
    """It is to be read anew."""
    reading: bool = False
    uncounted: int = 0
    """Counts in a row that were passed over."""

    def heard(self, run_id: bytes, *, freed: bool) -> None:
        """This run waits no more; ``freed``: nor does it run."""
        if self.reads:
            self.changed.add(run_id)
            if freed:
                self.freed.add(run_id)

    def begin_read(self) -> None:
        """From here on what is heard is newer than what is read."""
        self.reads += 1

    def end_read(self) -> None:
        """What was read has been taken up."""
        self.reads -= 1
        if not self.reads:
            self.changed.clear()
            self.freed.clear()
