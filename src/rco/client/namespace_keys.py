"""The client's side of /v1/namespace-keys."""

from __future__ import annotations

from rco.client.schedules import Asks
from rco.model.wire_namespace_keys import Erased, NamespaceKeyAsk, NamespaceKeyPage, NamespaceKeyView

__all__ = ["NamespaceKeys"]

_PATH = "/v1/namespace-keys"


class NamespaceKeys:
    """Every method raises what those of ``rco.client.Client`` do."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def list(self) -> NamespaceKeyPage:
        """Every key there is or was, without its bytes."""
        return await self._ask("GET", _PATH, NamespaceKeyPage)

    async def create(self, ask: NamespaceKeyAsk) -> NamespaceKeyView:
        """Encrypt the payloads of a namespace from now on."""
        return await self._ask("POST", _PATH, NamespaceKeyView, body=ask)

    async def rotate(self, ask: NamespaceKeyAsk) -> NamespaceKeyView:
        """Give a namespace its next key."""
        return await self._ask("POST", f"{_PATH}/rotations", NamespaceKeyView, body=ask)

    async def erase(self, ask: NamespaceKeyAsk) -> Erased:
        """Erase the keys of a namespace, and with them all that they encrypted. May be repeated."""
        return await self._ask("POST", f"{_PATH}/erasures", Erased, body=ask)
