"""The client's side of /v1/queues."""

from __future__ import annotations

from urllib.parse import quote

from rco.client.schedules import Asks
from rco.model.wire_queues import QueuePage, QueueView, SteerQueue

__all__ = ["Queues"]


class Queues:
    """``client.queues``: one method a route."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def list(self) -> QueuePage:
        """Every queue and how it stands."""
        return await self._ask("GET", "/v1/queues", QueuePage)

    async def show(self, name: str) -> QueueView:
        """One queue, with the fairness keys that wait."""
        return await self._ask("GET", _path(name), QueueView)

    async def pause(self, name: str, reason: str = "") -> QueueView:
        """Give no turns any more. May be repeated."""
        return await self._ask("POST", _path(name, "/pause"), QueueView, body=SteerQueue(reason=reason))

    async def resume(self, name: str, reason: str = "") -> QueueView:
        """Let it go on. May be repeated."""
        return await self._ask("POST", _path(name, "/resume"), QueueView, body=SteerQueue(reason=reason))


def _path(name: str, verb: str = "") -> str:
    return f"/v1/queues/{quote(name, safe='')}{verb}"
