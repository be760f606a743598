"""Give one command to many runs: look first, then begin, then see how far it is."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.errors import Misuse
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.principal import Principal, Role
from rco.model.wire import StartedRun
from rco.model.wire_bulk import BulkError, BulkPreview, BulkView
from rco.operations.access import require
from rco.operations.bulk_run import BULK, COMMANDS, BulkSpec, users_only
from rco.operations.desk import Desk
from rco.operations.paging_ask import paged_run, pages_of, start_paged, started_before
from rco.operations.view import run_brief, run_detail, state_of
from rco.store.contract.reader import RunFilter

__all__ = ["preview_bulk", "show_bulk", "start_bulk"]

SAMPLE = 10


async def preview_bulk(desk: Desk, principal: Principal, where: RunFilter) -> BulkPreview:
    """How many runs of the principal's namespace the filter finds now, and the newest of them. Changes nothing and
    leaves no record. Needs the operator's role, as what it is for does."""
    require(principal, Role.OPERATOR)
    mine = _mine(desk, principal, where)
    rows = await desk.reader.runs(msgspec.structs.replace(mine, limit=SAMPLE))
    return BulkPreview(count=await desk.reader.count_runs(mine), sample=[run_brief(row) for row in rows])


async def start_bulk(desk: Desk, principal: Principal, spec: BulkSpec, key: str | None = None) -> StartedRun:
    """Begin a bulk over the runs that are there now; durable when this returns. Needs the operator's role.

    It is a run: pause, resume and cancel it as one. Each command needs the grants that the principal has when it is
    given. The same ``key`` with the same request is the same bulk. Raises ``Misuse`` for an action that there is not,
    ``Conflict`` when the key stands for another, ``Overloaded``.
    """
    require(principal, Role.OPERATOR)
    if spec.action not in COMMANDS:
        raise Misuse(f"there is no bulk {spec.action!r}.", cure=f"There are {', '.join(COMMANDS)}.")
    key = None if key is None else f"bulk:{key}"
    if (known := await started_before(desk, principal, key)) is not None:
        return known
    mine = _mine(desk, principal, spec.where)
    before = mine.after or desk.ids.uuid7()
    given = msgspec.structs.replace(spec, where=msgspec.structs.replace(mine, after=None), before=before)
    return await start_paged(desk, principal, BULK, given, key)


async def show_bulk(desk: Desk, principal: Principal, run_id: bytes) -> BulkView:
    """How far a bulk is. Needs the viewer's role; ``NotFound`` for a run that is none."""
    row, records = await paged_run(desk, principal, run_id, BULK, "bulk")
    spec = msgspec.convert(records[0].body["input"], BulkSpec)
    at: Any = (pages_of(records) or [{}])[-1]
    _, error = run_detail(row)
    return BulkView(
        id=id_text(run_id),
        action=spec.action,
        state=state_of(row),
        count=at.get("count"),
        done=at.get("done", 0),
        failed=at.get("failed", 0),
        ended=at.get("ended", ""),
        errors=[BulkError(run_id=one, message=message) for one, message in at.get("errors", [])],
        opened_at=iso(row.opened_us),
        closed_at=iso(row.closed_us) if row.closed_us is not None else None,
        error=error,
    )


def _mine(desk: Desk, principal: Principal, where: RunFilter) -> RunFilter:
    return msgspec.structs.replace(
        where, namespace=principal.namespace, users_only=users_only(where), after=where.after or desk.ids.uuid7()
    )
