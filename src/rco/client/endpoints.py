"""The client's side of /v1/endpoints."""

from __future__ import annotations

from urllib.parse import quote

from rco.client.schedules import Asks
from rco.model.wire import StartedRun
from rco.model.wire_bulk import BulkPreview
from rco.model.wire_endpoints import (
    CreateEndpoint,
    DeliveryPage,
    EndpointPage,
    EndpointView,
    MadeEndpoint,
    PatchEndpoint,
    ReplayAsk,
    ReplayMany,
    RotateAsk,
    TestAsk,
)

__all__ = ["EndpointsClient"]

_PATH = "/v1/endpoints"


class EndpointsClient:
    """``client.endpoints``: one method a route. Every method raises what those of ``rco.client.Client`` do."""

    def __init__(self, ask: Asks) -> None:
        self._ask = ask

    async def create(self, ask: CreateEndpoint) -> MadeEndpoint:
        """Send events to an address. The answer tells the signing secret, this once."""
        return await self._ask("POST", _PATH, MadeEndpoint, body=ask)

    async def list(self) -> EndpointPage:
        """The endpoints of the namespace."""
        return await self._ask("GET", _PATH, EndpointPage)

    async def show(self, endpoint_id: str) -> EndpointView:
        """One endpoint, without its secrets."""
        return await self._ask("GET", _path(endpoint_id), EndpointView)

    async def change(self, endpoint_id: str, ask: PatchEndpoint) -> EndpointView:
        """Change what is named; the rest stays. May be repeated."""
        return await self._ask("PATCH", _path(endpoint_id), EndpointView, body=ask)

    async def delete(self, endpoint_id: str) -> None:
        """Remove it with its secrets; deliveries that wait fail at their next attempt."""
        await self._ask("DELETE", _path(endpoint_id), type(None))

    async def rotate(self, endpoint_id: str, ask: RotateAsk | None = None) -> MadeEndpoint:
        """Sign with a new secret, and with those before as well for a while."""
        return await self._ask("POST", _path(endpoint_id, "rotate"), MadeEndpoint, body=ask or RotateAsk())

    async def enable(self, endpoint_id: str) -> EndpointView:
        """Send to it again. May be repeated."""
        return await self._ask("POST", _path(endpoint_id, "enable"), EndpointView)

    async def test(self, endpoint_id: str, ask: TestAsk | None = None) -> StartedRun:
        """Send one message once. Each call sends another."""
        return await self._ask("POST", _path(endpoint_id, "test"), StartedRun, body=ask or TestAsk())

    async def deliveries(
        self, endpoint_id: str, *, after: str = "", limit: int = 20, failed: bool = False
    ) -> DeliveryPage:
        """Deliveries with the log of their attempts, newest first."""
        params = {"after": after, "limit": str(limit), "failed": "true" if failed else "false"}
        return await self._ask("GET", _path(endpoint_id, "deliveries"), DeliveryPage, params=params)

    async def replay(self, endpoint_id: str, delivery: str, *, key: str | None = None) -> StartedRun:
        """Deliver one message again; with a ``key`` it may be repeated."""
        body = ReplayAsk(delivery=delivery, key=key)
        return await self._ask("POST", _path(endpoint_id, "replay"), StartedRun, body=body)

    async def preview_replay(self, endpoint_id: str, ask: ReplayMany) -> BulkPreview:
        """How many deliveries would be made again."""
        return await self._ask("POST", _path(endpoint_id, "replays/preview"), BulkPreview, body=ask)

    async def replay_many(self, endpoint_id: str, ask: ReplayMany) -> StartedRun:
        """Deliver again what was begun in a span of time, as a bulk."""
        return await self._ask("POST", _path(endpoint_id, "replays"), StartedRun, body=ask)


def _path(endpoint_id: str, verb: str = "") -> str:
    return f"{_PATH}/{quote(endpoint_id, safe='')}" + (f"/{verb}" if verb else "")
