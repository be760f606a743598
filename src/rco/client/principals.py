"""The client's side of /v1/principals."""

from __future__ import annotations

from urllib.parse import quote

from rco.client.schedules import Asks
from rco.model.wire_tenants import CreatedPrincipal, CreatePrincipal, PrincipalPage

__all__ = ["PrincipalsClient"]


class PrincipalsClient:
    """Who may use the service. Everything needs an administrator's token."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def create(self, ask: CreatePrincipal) -> CreatedPrincipal:
        """Make a principal. Its token is in this answer and nowhere else."""
        return await self._ask("POST", "/v1/principals", CreatedPrincipal, body=ask)

    async def list(self) -> PrincipalPage:
        """Those that the caller may know of, by id."""
        return await self._ask("GET", "/v1/principals", PrincipalPage)

    async def revoke(self, principal_id: str, reason: str = "") -> None:
        """Take its token away."""
        path = f"/v1/principals/{quote(principal_id, safe='')}"
        await self._ask("DELETE", path, type(None), params={"reason": reason or None})
