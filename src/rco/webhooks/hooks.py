"""What operations need of outgoing webhooks: who wants an event, how to send, how to change an endpoint."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rco.model.endpoint import Endpoint
from rco.store.contract.endpoints import Endpoints
from rco.webhooks.book import Book
from rco.webhooks.sender import Sender

__all__ = ["Hooks"]


class Hooks:
    """One to a node. ``book`` and the egress of ``sender`` are started and stopped by the owner."""

    def __init__(self, store: Endpoints, book: Book, sender: Sender) -> None:
        self._store, self.book, self.sender = store, book, sender

    async def change(self, endpoint_id: str, change: Callable[[Endpoint], Endpoint | None]) -> Endpoint | None:
        """Write what ``change`` makes of the endpoint as it stands, again until nobody comes between; ``None`` of it
        changes nothing. Gives the endpoint as it then stands, ``None`` where there is none. Durable, and known on this
        node, when this returns."""
        while True:
            stands = await self._store.endpoint(endpoint_id)
            if stands is None:
                return None
            made = change(stands)
            if made is None:
                return stands
            made = msgspec.structs.replace(made, version=stands.version + 1)
            if await self._store.swap_endpoint(made):
                await self.book.look()
                return made
