"""Is the store there, for reading and for writing?"""

from __future__ import annotations

from rco.errors import StoreError
from rco.kit.clock import Clock
from rco.store.contract.reader import EventReader
from rco.store.contract.writer import Flushed, Writer

__all__ = ["StoreHealth"]

STUCK_S = 5.0


class StoreHealth:
    """Asks with one small read, and looks whether what waits to be written is being written."""

    def __init__(self, reader: EventReader, writer: Writer, clock: Clock) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._flushed_s = clock.monotonic()
        writer.on_flush(self._flushed)

    async def probe(self) -> None:
        """Returns when the store is well. Raises what the read raised, and ``StoreError`` when rows have been waiting
        for five seconds and none was written."""
        now_s = self._clock.monotonic()
        if not self._writer.backlog:
            self._flushed_s = now_s
        elif now_s - self._flushed_s > STUCK_S:
            raise StoreError(f"{self._writer.backlog} rows wait and none was written in {STUCK_S:g} s")
        await self._reader.event("default", "health")

    def _flushed(self, _: Flushed) -> None:
        self._flushed_s = self._clock.monotonic()
