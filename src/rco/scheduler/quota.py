"""How many schedules a namespace may have."""

from __future__ import annotations

from rco.errors import Overloaded
from rco.kit.clock import Clock
from rco.store.contract.schedules import ScheduleReader

__all__ = ["Quota"]

COUNT_AGAIN_S = 10.0


class Quota:
    """Counted in the store now and then, and in memory in between: a bound against runaway scripts, not an account."""

    def __init__(self, reader: ScheduleReader, clock: Clock, limit: int) -> None:
        self._reader, self._clock, self._limit = reader, clock, limit
        self._known: dict[str, tuple[int, float]] = {}

    async def take(self, namespace: str) -> None:
        """Take room for one more. Raises ``Overloaded`` when there is none."""
        now_s = self._clock.monotonic()
        count, counted_s = self._known.get(namespace, (0, -COUNT_AGAIN_S))
        if now_s - counted_s >= COUNT_AGAIN_S:
            count, counted_s = await self._reader.count_schedules(namespace), now_s
        if count >= self._limit:
            raise Overloaded(
                f"namespace {namespace!r} has {count} schedules, the limit.",
                cure="Delete some, or raise scheduler.schedules_limit.",
            )
        self._known[namespace] = (count + 1, counted_s)
