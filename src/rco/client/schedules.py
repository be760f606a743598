"""The client's side of /v1/schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from rco.model.schedule import Overlap, ScheduleSpec
from rco.model.wire_schedules import (
    BackfillAsk,
    CreateSchedule,
    FireTimes,
    PauseAsk,
    SchedulePage,
    ScheduleView,
    TriggerAsk,
    Triggered,
)

__all__ = ["Asks", "Schedules"]

T = TypeVar("T")


class Asks(Protocol):
    """One request and its answer as a value; see ``Client``."""

    async def __call__(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, str | None] | None = None,
        body: msgspec.Struct | None = None,
    ) -> T: ...


class Schedules:
    """``client.schedules``: one method a route."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def create(self, name: str, spec: ScheduleSpec, *, paused: bool = False, note: str = "") -> ScheduleView:
        """Make a schedule. Raises ``Conflict`` when the name is taken."""
        body = CreateSchedule(name=name, spec=spec, paused=paused, note=note)
        return await self._ask("POST", "/v1/schedules", ScheduleView, body=body)

    async def replace(self, name: str, spec: ScheduleSpec) -> ScheduleView:
        """Give it another specification. May be repeated."""
        return await self._ask("PUT", _path(name), ScheduleView, body=spec)

    async def delete(self, name: str) -> None:
        """Remove it; its open runs go on."""
        await self._ask("DELETE", _path(name), type(None))

    async def list(self, *, after: str = "", limit: int = 50) -> SchedulePage:
        """One page by name; ``after`` is the ``next`` of the page before."""
        return await self._ask("GET", "/v1/schedules", SchedulePage, params={"after": after, "limit": str(limit)})

    async def show(self, name: str) -> ScheduleView:
        """One schedule, whole."""
        return await self._ask("GET", _path(name), ScheduleView)

    async def next(self, name: str, *, count: int = 5, after: str | None = None) -> FireTimes:
        """Its next ticks."""
        return await self._ask("GET", _path(name, "next"), FireTimes, params={"count": str(count), "after": after})

    async def preview(self, spec: ScheduleSpec, *, count: int = 5, after: str | None = None) -> FireTimes:
        """The next ticks that such a schedule would have."""
        params = {"count": str(count), "after": after}
        return await self._ask("POST", "/v1/schedules/preview", FireTimes, params=params, body=spec)

    async def pause(self, name: str, note: str = "") -> ScheduleView:
        """Start nothing by the clock. May be repeated."""
        return await self._ask("POST", _path(name, "pause"), ScheduleView, body=PauseAsk(note=note))

    async def resume(self, name: str, note: str = "") -> ScheduleView:
        """Go on by the clock. May be repeated."""
        return await self._ask("POST", _path(name, "resume"), ScheduleView, body=PauseAsk(note=note))

    async def trigger(self, name: str, *, overlap: Overlap = "allow") -> Triggered:
        """Start a run now. Each call is a run of its own."""
        return await self._ask("POST", _path(name, "trigger"), Triggered, body=TriggerAsk(overlap=overlap))

    async def backfill(self, name: str, after: str, until: str, *, overlap: Overlap = "buffer_all") -> ScheduleView:
        """Start the ticks of a span of the past that have no run yet. May be repeated."""
        body = BackfillAsk(after=after, until=until, overlap=overlap)
        return await self._ask("POST", _path(name, "backfill"), ScheduleView, body=body)


def _path(name: str, verb: str = "") -> str:
    return f"/v1/schedules/{quote(name, safe='')}" + (f"/{verb}" if verb else "")
