"""/v1/endpoints: make, list, change, rotate, test, enable, delete; deliveries, and delivering again."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

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
from rco.operations import deliveries
from rco.operations import endpoints as verbs
from rco.server.api.asked import ERRORS, Ask, asked, identity, segment

__all__ = ["ROUTES"]

_TAGS = ["endpoints"]


@post("/v1/endpoints", tags=_TAGS, operation_id="createEndpoint", responses=ERRORS)
async def create(request: Ask, data: JSONBody[CreateEndpoint]) -> MadeEndpoint:
    """Send events to an address. The answer tells the signing secret, this once. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.create_endpoint(desk, principal, data)


@get("/v1/endpoints", tags=_TAGS, operation_id="listEndpoints", responses=ERRORS)
async def list_(request: Ask) -> EndpointPage:
    """The endpoints of the namespace."""
    desk, principal, _, _ = asked(request)
    return await verbs.list_endpoints(desk, principal)


@get("/v1/endpoints/{endpoint:str}", tags=_TAGS, operation_id="showEndpoint", responses=ERRORS)
async def show(request: Ask, endpoint: FromPath[str]) -> EndpointView:
    """One endpoint, without its secrets."""
    desk, principal, _, _ = asked(request)
    return await verbs.show_endpoint(desk, principal, segment(endpoint))


@patch("/v1/endpoints/{endpoint:str}", tags=_TAGS, operation_id="changeEndpoint", responses=ERRORS)
async def change(request: Ask, endpoint: FromPath[str], data: JSONBody[PatchEndpoint]) -> EndpointView:
    """Change what is named; the rest stays. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.patch_endpoint(desk, principal, segment(endpoint), data)


@delete("/v1/endpoints/{endpoint:str}", tags=_TAGS, operation_id="deleteEndpoint", responses=ERRORS)
async def remove(request: Ask, endpoint: FromPath[str]) -> None:
    """Remove it with its secrets; deliveries that wait fail at their next attempt. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    await verbs.delete_endpoint(desk, principal, segment(endpoint))


@post(
    "/v1/endpoints/{endpoint:str}/rotate", tags=_TAGS, operation_id="rotateEndpoint", status_code=200, responses=ERRORS
)
async def rotate(request: Ask, endpoint: FromPath[str], data: JSONBody[RotateAsk]) -> MadeEndpoint:
    """Sign with a new secret, and with those before as well for a while. Needs the administrator's role."""
    desk, principal, _, _ = asked(request)
    return await verbs.rotate_endpoint(desk, principal, segment(endpoint), data)


@post(
    "/v1/endpoints/{endpoint:str}/enable", tags=_TAGS, operation_id="enableEndpoint", status_code=200, responses=ERRORS
)
async def enable(request: Ask, endpoint: FromPath[str]) -> EndpointView:
    """Send to it again. Nothing is replayed by itself."""
    desk, principal, _, _ = asked(request)
    return await verbs.enable_endpoint(desk, principal, segment(endpoint))


@post("/v1/endpoints/{endpoint:str}/test", tags=_TAGS, operation_id="testEndpoint", status_code=202, responses=ERRORS)
async def test(request: Ask, endpoint: FromPath[str], data: JSONBody[TestAsk]) -> StartedRun:
    """Send one message once, to a disabled endpoint too. The run tells what came of it."""
    desk, principal, _, _ = asked(request)
    return await deliveries.test_endpoint(desk, principal, segment(endpoint), data)


@get("/v1/endpoints/{endpoint:str}/deliveries", tags=_TAGS, operation_id="listDeliveries", responses=ERRORS)
async def delivered(
    request: Ask,
    endpoint: FromPath[str],
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=deliveries.PAGE_MAX)] = 20,
    failed: FromQuery[bool] = False,
) -> DeliveryPage:
    """Deliveries with the log of their attempts, newest first; ``after`` is the ``next`` of the page before."""
    desk, principal, _, _ = asked(request)
    last = identity(after, "after") if after else None
    return await deliveries.list_deliveries(desk, principal, segment(endpoint), after=last, limit=limit, failed=failed)


@post(
    "/v1/endpoints/{endpoint:str}/replay", tags=_TAGS, operation_id="replayDelivery", status_code=202, responses=ERRORS
)
async def replay(request: Ask, endpoint: FromPath[str], data: JSONBody[ReplayAsk]) -> StartedRun:
    """Deliver one message again, under the same webhook-id. 409: the endpoint is disabled."""
    desk, principal, _, _ = asked(request)
    run_id = identity(data.delivery, "delivery")
    return await deliveries.replay_delivery(desk, principal, segment(endpoint), run_id, data.key)


@post(
    "/v1/endpoints/{endpoint:str}/replays/preview",
    tags=_TAGS,
    operation_id="previewReplay",
    status_code=200,
    responses=ERRORS,
)
async def preview(request: Ask, endpoint: FromPath[str], data: JSONBody[ReplayMany]) -> BulkPreview:
    """How many deliveries would be made again. Changes nothing."""
    desk, principal, _, _ = asked(request)
    return await deliveries.preview_many(desk, principal, segment(endpoint), data)


@post(
    "/v1/endpoints/{endpoint:str}/replays",
    tags=_TAGS,
    operation_id="replayDeliveries",
    status_code=202,
    responses=ERRORS,
)
async def replay_many(request: Ask, endpoint: FromPath[str], data: JSONBody[ReplayMany]) -> StartedRun:
    """Deliver again what was begun in a span of time, as a bulk: /v1/bulk shows how far it is. 409: it is disabled."""
    desk, principal, _, _ = asked(request)
    return await deliveries.replay_many(desk, principal, segment(endpoint), data)


ROUTES = [create, list_, show, change, remove, rotate, enable, test, delivered, replay, preview, replay_many]
