"""Deliveries of one endpoint: see them with their attempts, send a test, deliver again."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.errors import Conflict, Misuse, NotFound
from rco.kit.canonical import canonical_json
from rco.kit.clock import iso, parse_iso
from rco.kit.ids import id_text
from rco.model.attribute import AttributeFilter, attribute
from rco.model.endpoint import DELIVER, Endpoint, EndpointState
from rco.model.event import Event
from rco.model.journal import Kind
from rco.model.principal import Principal, Role
from rco.model.run import Outcome, RunRow
from rco.model.wire import StartedRun
from rco.model.wire_bulk import BulkPreview
from rco.model.wire_endpoints import DeliveryPage, DeliveryView, ReplayMany, TestAsk
from rco.operations.access import require
from rco.operations.bulk import preview_bulk, start_bulk
from rco.operations.bulk_run import BulkSpec
from rco.operations.command import find_run
from rco.operations.deliver_run import Delivering
from rco.operations.delivery_asks import ENDPOINT, LARGE, MESSAGE
from rco.operations.desk import Desk
from rco.operations.endpoints import find_endpoint
from rco.operations.redelivery import delivering, redeliver
from rco.operations.view import state_of
from rco.payloads.fetching import unfetched
from rco.store.contract.reader import RunFilter, records_of
from rco.webhooks.message import message_id, message_of

__all__ = ["list_deliveries", "preview_many", "replay_delivery", "replay_many", "test_endpoint"]

PAGE_MAX = 50


async def list_deliveries(
    desk: Desk, principal: Principal, endpoint_id: str, *, after: bytes | None, limit: int, failed: bool = False
) -> DeliveryPage:
    """One page of the deliveries to an endpoint, newest first, with the log of each attempt. Needs the viewer's role.
    ``failed``: only those that ended without. Raises ``NotFound``."""
    require(principal, Role.VIEWER)
    endpoint = await find_endpoint(desk, principal, endpoint_id)
    where = msgspec.structs.replace(_of(endpoint), after=after, limit=min(limit, PAGE_MAX))
    if failed:
        where = msgspec.structs.replace(where, outcome=Outcome.FAILED)
    rows = await desk.reader.runs(where)
    items = [await _delivery(desk, row) for row in rows]
    return DeliveryPage(items=items, next=items[-1].id if len(items) == where.limit else None)


async def test_endpoint(desk: Desk, principal: Principal, endpoint_id: str, ask: TestAsk) -> StartedRun:
    """Send one message once, also to a disabled endpoint. Needs the operator's role. Each call sends another. Raises
    ``NotFound`` and ``Misuse`` for data that has no JSON form."""
    require(principal, Role.OPERATOR)
    endpoint = await find_endpoint(desk, principal, endpoint_id)
    now_us = desk.clock.now_us()
    try:
        data = canonical_json(ask.data)
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise Misuse(f"data has no JSON form ({type(problem).__name__}).", cure="Give plain data.") from None
    event = Event(
        id=desk.ids.ulid(),
        source="/endpoints/test",
        type=ask.type,
        data=data,
        time_us=now_us,
        received_us=now_us,
        corr_id=desk.ids.ulid(),
        namespace=endpoint.namespace,
    )
    spec = Delivering(endpoint=endpoint_id, message_id=message_id(event), message=message_of(event), once=True)
    started = await desk.engine.start_run(
        StartAsk(
            workflow=DELIVER,
            input=msgspec.to_builtins(spec),
            namespace=endpoint.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=event.corr_id,
            large=LARGE,
            attributes=(attribute(ENDPOINT, endpoint_id), attribute(MESSAGE, spec.message_id)),
        )
    )
    return StartedRun(id=id_text(started.run_id), created=started.created)


async def replay_delivery(
    desk: Desk, principal: Principal, endpoint_id: str, run_id: bytes, key: str | None
) -> StartedRun:
    """Deliver again what a delivery of this endpoint delivered or could not, under the same ``webhook-id``. Needs the
    operator's role. The same ``key`` is the same replay. Raises ``NotFound``, ``Conflict`` while it is disabled."""
    require(principal, Role.OPERATOR)
    endpoint = await find_endpoint(desk, principal, endpoint_id)
    row = await find_run(desk, principal, run_id)
    if (await delivering(desk, row))[0].endpoint != endpoint.endpoint_id:
        raise NotFound(f"run {id_text(run_id)} is no delivery to {endpoint_id}.", cure="See rco endpoint deliveries.")
    return await redeliver(desk, principal, run_id, key or "")


async def preview_many(desk: Desk, principal: Principal, endpoint_id: str, ask: ReplayMany) -> BulkPreview:
    """How many deliveries ``replay_many`` would make again, and the newest of them. Changes nothing. Needs the
    operator's role. Raises ``NotFound`` and ``Misuse``."""
    require(principal, Role.OPERATOR)
    endpoint = await find_endpoint(desk, principal, endpoint_id)
    return await preview_bulk(desk, principal, _span(endpoint, ask))


async def replay_many(desk: Desk, principal: Principal, endpoint_id: str, ask: ReplayMany) -> StartedRun:
    """Deliver again what was begun in a span of time, as a bulk: what failed, or all. Needs the operator's role. The
    same ``key`` is the same bulk. Raises ``NotFound``, ``Conflict`` while it is disabled, ``Misuse``."""
    require(principal, Role.OPERATOR)
    endpoint = await find_endpoint(desk, principal, endpoint_id)
    where = _span(endpoint, ask)
    if endpoint.state is not EndpointState.ENABLED:
        raise Conflict(f"endpoint {endpoint_id} is disabled.", cure="Enable it first: rco endpoint enable.")
    spec = BulkSpec(action="redeliver", where=where, before=b"", rate_per_s=ask.rate_per_s, reason=ask.reason)
    return await start_bulk(desk, principal, spec, ask.key)


def _span(endpoint: Endpoint, ask: ReplayMany) -> RunFilter:
    try:
        from_us = None if ask.after is None else parse_iso(ask.after)
        to_us = None if ask.before is None else parse_iso(ask.before)
    except ValueError as problem:
        raise Misuse(f"after or before: {problem}.", cure="Write times as 2026-11-21T10:00:00Z.") from None
    return msgspec.structs.replace(
        _of(endpoint), opened_from_us=from_us, opened_to_us=to_us, outcome=None if ask.all else Outcome.FAILED
    )


def _of(endpoint: Endpoint) -> RunFilter:
    return RunFilter(
        namespace=endpoint.namespace,
        workflow=DELIVER,
        attributes=(AttributeFilter(ENDPOINT, "=", endpoint.endpoint_id),),
    )


async def _delivery(desk: Desk, row: RunRow) -> DeliveryView:
    # Their messages are not fetched: nothing of them is shown but the type, which stands in the journal.
    records = records_of(await unfetched(desk.reader).journal(row.run_id))
    given: dict[str, Any] = records[0].body["input"] if records else {}
    attempts: list[dict[str, Any]] = []
    due_us: int | None = None
    for one in records:
        if one.kind == Kind.STEP_END and one.key.startswith("attempt#") and one.body[0]:
            attempts.append({name: value for name, value in one.body[1].items() if name not in ("endpoint", "then")})
        elif one.kind == Kind.TIMER_SET:
            due_us = one.body
        elif one.kind == Kind.TIMER_FIRED:
            due_us = None
    return DeliveryView(
        id=id_text(row.run_id),
        state=state_of(row),
        message_id=given.get("message_id", ""),
        type=given.get("message", {}).get("type", ""),
        opened_at=iso(row.opened_us),
        attempts=attempts,
        closed_at=None if row.closed_us is None else iso(row.closed_us),
        replay_of=given.get("replay_of", ""),
        next_at=None if due_us is None or row.closed_us is not None else iso(due_us),
    )
