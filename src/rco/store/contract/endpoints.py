"""Endpoints of outgoing webhooks: changed by compare and swap, and read by what changed.

Every change takes a new number, under a lock that is held until the commit: who has read number 7 will never find a 6
that was committed later, so a node that asks for what is behind the last number it knows misses nothing.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from rco.model.endpoint import Endpoint

__all__ = ["EndpointPage", "Endpoints"]


class EndpointPage(msgspec.Struct, frozen=True):
    """Endpoints that changed behind the asked number, in the order of their last change, and the last one's number
    (that which was asked for where there is none). Deleted ones are among them."""

    last: int
    endpoints: list[Endpoint]


class Endpoints(Protocol):
    async def swap_endpoint(self, endpoint: Endpoint) -> bool:
        """Write ``endpoint`` if its ``version`` is one more than what stands there (1 where nothing does). Durable when
        this returns ``True``. Where the answer is lost it may have been done, and a second call then gives ``False``:
        read it again."""
        ...

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """As it stands, a deleted one too."""
        ...

    async def endpoints(self, after: int, limit: int) -> EndpointPage: ...
