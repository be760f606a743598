"""The client's side of /v1/retention."""

from __future__ import annotations

from rco.client.schedules import Asks
from rco.model.wire_tenants import RetentionView

__all__ = ["RetentionClient"]


class RetentionClient:
    """What is dropped when its time is over."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def show(self) -> RetentionView:
        """What was dropped last by the node that answers."""
        return await self._ask("GET", "/v1/retention", RetentionView)

    async def run(self, *, preview: bool = False) -> RetentionView:
        """Drop now; with ``preview`` only count. May be repeated."""
        params = {"preview": "true" if preview else "false"}
        return await self._ask("POST", "/v1/retention/run", RetentionView, params=params)
