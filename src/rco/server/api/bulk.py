"""/v1/bulk: look at a selection of runs, give them all one command, see how far it is."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from rco.errors import Reason, Refused
from rco.kit.clock import parse_iso
from rco.model.run import Mode, Outcome
from rco.model.wire import RunSelection, StartedRun
from rco.model.wire_bulk import BulkAsk, BulkPreview, BulkView
from rco.operations.bulk import preview_bulk, show_bulk, start_bulk
from rco.operations.bulk_run import BulkSpec
from rco.operations.view import MODES_OF
from rco.server.api.asked import ERRORS, Ask, asked, filters, identity
from rco.store.contract.reader import RunFilter

__all__ = ["ROUTES"]

_SAME = {200: ResponseSpec(StartedRun, description="The key stands for this bulk already", generate_examples=False)}


@post("/v1/bulk/preview", tags=["bulk"], operation_id="previewBulk", status_code=200, responses=ERRORS)
async def preview(request: Ask, data: JSONBody[RunSelection]) -> BulkPreview:
    """How many runs are selected, and the newest of them. Changes nothing."""
    desk, principal, _, _ = asked(request)
    return await preview_bulk(desk, principal, _filter(data, ""))


@post("/v1/bulk", tags=["bulk"], operation_id="startBulk", responses={**ERRORS, **_SAME})
async def begin(request: Ask, data: JSONBody[BulkAsk]) -> Response[StartedRun]:
    """Begin a bulk over the runs that are selected now. It is a run: pause, resume and cancel it as one."""
    desk, principal, _, _ = asked(request)
    spec = BulkSpec(
        action=data.action,
        where=_filter(data.where, "where."),
        before=b"",
        rate_per_s=data.rate_per_s,
        stop_after_failures=data.stop_after_failures,
        reason=data.reason,
    )
    started = await start_bulk(desk, principal, spec, data.key)
    return Response(started, status_code=201 if started.created else 200)


@get("/v1/bulk/{bulk_id:str}", tags=["bulk"], operation_id="showBulk", responses=ERRORS)
async def show(request: Ask, bulk_id: FromPath[str]) -> BulkView:
    """How far a bulk is."""
    desk, principal, _, _ = asked(request)
    return await show_bulk(desk, principal, identity(bulk_id, "bulk_id"))


def _filter(data: RunSelection, field: str) -> RunFilter:
    mode: Mode | None = MODES_OF.get(data.state)
    return RunFilter(
        workflow=data.workflow,
        mode=mode,
        outcome=None if mode is not None else Outcome(data.state),
        corr_id=data.corr_id,
        opened_from_us=_time(data.opened_after, f"{field}opened_after"),
        opened_to_us=_time(data.opened_before, f"{field}opened_before"),
        code=data.code,
        text=data.text,
        attributes=filters(data.attributes, f"{field}attributes"),
    )


def _time(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_iso(text)
    except ValueError:
        raise Refused(Reason.MALFORMED, "bad_time", f"{field}: not a time of RFC 3339.") from None


ROUTES = [preview, begin, show]
