"""Give one command to many runs: look first, then begin, then see how far it is."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.engine.ask import StartAsk
from rco.errors import Misuse, NotFound
from rco.kit.clock import iso
from rco.kit.ids import id_text
from rco.model.journal import Kind, decode_segment
from rco.model.principal import Principal, Role
from rco.model.wire import StartedRun
from rco.model.wire_bulk import BulkError, BulkPreview, BulkView
from rco.operations.access import require
from rco.operations.bulk_run import BULK, COMMANDS, BulkSpec, users_only
from rco.operations.command import find_run
from rco.operations.desk import Desk
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
    if key is not None and (known := await desk.reader.key_holder(principal.namespace, f"bulk:{key}")) is not None:
        return StartedRun(id=id_text(known), created=False)
    mine = _mine(desk, principal, spec.where)
    before = mine.after or desk.ids.uuid7()
    given = msgspec.structs.replace(spec, where=msgspec.structs.replace(mine, after=None), before=before)
    started = await desk.engine.start_run(
        StartAsk(
            workflow=BULK,
            input=msgspec.to_builtins(given, builtin_types=(bytes,)),
            key=None if key is None else f"bulk:{key}",
            namespace=principal.namespace,
            actor=f"principal:{principal.principal_id}",
            corr_id=desk.ids.ulid(),
        )
    )
    return StartedRun(id=id_text(started.run_id), created=started.created)


async def show_bulk(desk: Desk, principal: Principal, run_id: bytes) -> BulkView:
    """How far a bulk is. Needs the viewer's role; ``NotFound`` for a run that is none."""
    require(principal, Role.VIEWER)
    row = await find_run(desk, principal, run_id)
    if row.workflow != BULK:
        raise NotFound(f"run {id_text(run_id)} is no bulk.", cure="See `rco run show`.")
    records = [record for segment in await desk.reader.journal(run_id) for record in decode_segment(segment.data)]
    spec = msgspec.convert(records[0].body["input"], BulkSpec)
    at: dict[str, Any] = {}
    for record in records:
        if record.kind == Kind.STEP_END and record.body[0]:
            at = record.body[1]
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
