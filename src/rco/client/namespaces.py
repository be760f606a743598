"""The client's side of /v1/namespaces."""

from __future__ import annotations

from urllib.parse import quote

from rco.client.schedules import Asks
from rco.model.wire_tenants import CreateNamespace, NamespacePage, NamespaceView, SetNamespace

__all__ = ["NamespacesClient"]


class NamespacesClient:
    """Tenants, and what each may have."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def create(self, ask: CreateNamespace) -> NamespaceView:
        """Make a namespace. Needs an administrator's token for all namespaces."""
        return await self._ask("POST", "/v1/namespaces", NamespaceView, body=ask)

    async def list(self) -> NamespacePage:
        """Those that the token may enter."""
        return await self._ask("GET", "/v1/namespaces", NamespacePage)

    async def show(self, name: str) -> NamespaceView:
        """One with what it has."""
        return await self._ask("GET", f"/v1/namespaces/{quote(name, safe='')}", NamespaceView)

    async def set(self, name: str, ask: SetNamespace) -> NamespaceView:
        """Change its state and quotas. May be repeated."""
        return await self._ask("PATCH", f"/v1/namespaces/{quote(name, safe='')}", NamespaceView, body=ask)
