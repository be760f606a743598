"""The client's side of /v1/payloads."""

from __future__ import annotations

from rco.client.schedules import Asks
from rco.model.wire_payloads import PayloadSweep

__all__ = ["PayloadsClient"]


class PayloadsClient:
    """What is kept by reference, and what of it nobody uses."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def show(self) -> PayloadSweep:
        """What the last look of the node that answers found."""
        return await self._ask("GET", "/v1/payloads/gc", PayloadSweep)

    async def gc(self, *, preview: bool = False) -> PayloadSweep:
        """Remove now what nobody uses; with ``preview`` only count. May be repeated."""
        params = {"preview": "true" if preview else "false"}
        return await self._ask("POST", "/v1/payloads/gc", PayloadSweep, params=params)
