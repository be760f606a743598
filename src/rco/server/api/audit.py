"""/v1/audit/export: the evidence, as a stream of JSON lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from litestar import get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from rco.errors import Reason, Refused
from rco.model.wire_audit import RecentAudit
from rco.operations.evidence import export_evidence, export_run_evidence
from rco.operations.recent import RECENT_MAX, recent
from rco.server.api.asked import ERRORS, Ask, asked, identity

__all__ = ["JSON_LINES", "ROUTES"]

JSON_LINES = "application/jsonl"
N_MAX = (1 << 63) - 1


@get("/v1/audit/export", tags=["audit"], operation_id="exportAudit", media_type=JSON_LINES, responses=ERRORS)
async def export(
    request: Ask,
    first: Annotated[int, QueryParameter(ge=1, le=N_MAX)] = 1,
    last: Annotated[int | None, QueryParameter(ge=1, le=N_MAX)] = None,
    journal: FromQuery[bool] = False,
    run: Annotated[str | None, QueryParameter(max_length=36)] = None,
) -> Stream:
    """The chain from link ``first`` to ``last``, or the proof of one ``run``. Needs the administrator's role.

    Check it with ``rco audit verify FILE``. ``journal`` adds what runs did, payloads included.
    """
    desk, principal, _, _ = asked(request)
    if last is not None and last < first:
        raise Refused(Reason.MALFORMED, "bad_range", "last: stands before first.")
    if run is not None:
        lines = await export_run_evidence(desk, principal, identity(run, "run"))
    else:
        lines = export_evidence(desk, principal, first_n=first, last_n=last, journal=journal)
    # The first line is made before the answer begins, so that what is wrong at once is a proper refusal. What goes
    # wrong later ends the connection before the last chunk, which a client sees as an incomplete answer.
    begin = await anext(lines)
    return Stream(_whole(begin, lines), media_type=JSON_LINES)


async def _whole(begin: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield begin
    batch: list[bytes] = []
    size = 0
    async for line in lines:
        batch.append(line)
        size += len(line)
        if size >= 64 * 1024:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


@get("/v1/audit/recent", tags=["audit"], operation_id="recentAudit", responses=ERRORS)
async def newest(request: Ask, limit: Annotated[int, QueryParameter(ge=1, le=RECENT_MAX)] = 100) -> RecentAudit:
    """The newest decisions in the memory of the node that answers, newest first, and how its sinks fare. Needs the
    administrator's role, and `memory` among `audit.sinks`."""
    desk, principal, _, _ = asked(request)
    return recent(desk, principal, limit)


ROUTES = [export, newest]
