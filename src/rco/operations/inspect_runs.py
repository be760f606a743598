"""Look at runs. Reading leaves no record; only decisions do."""

from __future__ import annotations

import asyncio

import msgspec

from rco.errors import PayloadErased, PayloadLocked
from rco.kit.ids import id_text
from rco.model.journal import Record, decode_segment
from rco.model.principal import Principal, Role
from rco.model.run import RunRow
from rco.model.wire import ForkedFrom, RunPage, RunView, TimelineEntry
from rco.model.wire_queues import QueueSeat
from rco.operations.access import require
from rco.operations.command import find_run
from rco.operations.desk import Desk
from rco.operations.timeline import timeline
from rco.operations.view import run_brief, run_detail
from rco.payloads.fetching import unfetched
from rco.store.contract.reader import RunFilter, Segment

__all__ = ["ENTRIES_MAX", "PAGE_MAX", "WAIT_S_MAX", "list_runs", "page_of_runs", "show_run", "wait_run"]

PAGE_MAX = 500
ENTRIES_MAX = 2_000
WAIT_S_MAX = 60.0


async def list_runs(desk: Desk, principal: Principal, where: RunFilter) -> RunPage:
    """One page of the principal's namespace, newest first; at most ``PAGE_MAX`` of them. Needs the viewer's role."""
    rows, more = await page_of_runs(desk, principal, where)
    said = await desk.reader.attributes([row.run_id for row in rows])
    items = [run_brief(row, said.get(row.run_id, ())) for row in rows]
    return RunPage(items=items, next=id_text(rows[-1].run_id) if more else None)


async def page_of_runs(desk: Desk, principal: Principal, where: RunFilter) -> tuple[list[RunRow], bool]:
    """The same as rows, and whether there are more."""
    require(principal, Role.VIEWER)
    limit = max(1, min(where.limit, PAGE_MAX))
    # One more than asked for tells whether there is a next page.
    rows = await desk.reader.runs(msgspec.structs.replace(where, namespace=principal.namespace, limit=limit + 1))
    return rows[:limit], len(rows) > limit


async def show_run(desk: Desk, principal: Principal, run_id: bytes) -> RunView:
    """The run with its result and its timeline: of more than ``ENTRIES_MAX`` entries the first and last halves."""
    require(principal, Role.VIEWER)
    row = await find_run(desk, principal, run_id)
    try:
        # A timeline shows no payload: those that are kept elsewhere need not be fetched.
        segments = await unfetched(desk.reader).journal(run_id)
    except (PayloadErased, PayloadLocked) as gone:
        return await _without_payload(desk, row, gone)
    # Decoding a long journal takes milliseconds that the owner's loop does not have.
    entries = await asyncio.to_thread(_entries, segments) if len(segments) > 64 else _entries(segments)
    cut = len(entries) > ENTRIES_MAX
    if cut:
        entries = entries[: ENTRIES_MAX // 2] + entries[-ENTRIES_MAX // 2 :]
    result, error = run_detail(row)
    said = await desk.reader.attributes([run_id])
    brief = msgspec.structs.asdict(run_brief(row, said.get(run_id, ())))
    return RunView(
        **brief,
        result=result,
        error=error,
        forked_from=_origin(segments),
        queue=_seat(segments),
        forks=[id_text(fork) for fork in await desk.reader.forks(row.namespace, run_id, PAGE_MAX)],
        timeline=entries,
        timeline_cut=cut,
    )


async def _without_payload(desk: Desk, row: RunRow, gone: PayloadErased | PayloadLocked) -> RunView:
    """What is known of a run whose payloads nobody can read: when, how and what of it, and why no more."""
    return RunView(
        **msgspec.structs.asdict(run_brief(row)),
        error={"code": gone.code, "message": str(gone), "records": gone.records},
        forks=[id_text(fork) for fork in await desk.reader.forks(row.namespace, row.run_id, PAGE_MAX)],
    )


async def wait_run(desk: Desk, principal: Principal, run_id: bytes, timeout_s: float) -> RunView:
    """The run once it has closed, or as it is after ``timeout_s`` (at most ``WAIT_S_MAX``): its state tells which.

    Carries no timeline; a second call waits again.
    """
    require(principal, Role.VIEWER)
    row = await find_run(desk, principal, run_id)
    if row.outcome is None and timeout_s > 0:
        await desk.engine.result(run_id, min(timeout_s, WAIT_S_MAX))
        row = await find_run(desk, principal, run_id)
    result, error = run_detail(row)
    said = await desk.reader.attributes([run_id])
    return RunView(**msgspec.structs.asdict(run_brief(row, said.get(run_id, ()))), result=result, error=error)


def _origin(segments: list[Segment]) -> ForkedFrom | None:
    origin = decode_segment(segments[0].data)[0].body.get("origin") if segments else None
    if origin is None:
        return None
    return ForkedFrom(run_id=id_text(origin["run"]), step=origin["step"], copied=origin["copied"])


def _seat(segments: list[Segment]) -> QueueSeat | None:
    place = decode_segment(segments[0].data)[0].body.get("queue") if segments else None
    return None if place is None else QueueSeat(queue=place["name"], fair_key=place["key"], priority=place["priority"])


def _entries(segments: list[Segment]) -> list[TimelineEntry]:
    records: list[Record] = []
    for segment in segments:
        records.extend(decode_segment(segment.data))
    return timeline(records)
