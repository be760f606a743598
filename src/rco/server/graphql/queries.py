"""What may be asked: runs, events, content and decisions, with the rights that ``/v1`` asks for."""

from __future__ import annotations

import msgspec
import strawberry

from rco.errors import NotFound, Reason, Refused
from rco.kit.clock import iso
from rco.model.decision import Verb
from rco.model.event import Event as EventRow
from rco.model.principal import Role
from rco.objects.content import well_formed_address
from rco.operations.access import require
from rco.operations.command import find_run
from rco.operations.content import PUT_EVENT
from rco.operations.inspect_decisions import DecisionFilter, page_of_decisions
from rco.operations.inspect_events import find_event, page_of_events
from rco.operations.inspect_runs import page_of_runs
from rco.server.graphql.context import Asked, identity
from rco.server.graphql.pages import Connection, connection, opened
from rco.server.graphql.types import Content, DateTime, Decision, Event, Run, RunState, filter_of
from rco.store.contract.reader import RunFilter

__all__ = ["Query"]

FIRST = 20


@strawberry.type
class Query:
    @strawberry.field(description="One run, or nothing when your namespace has none of this id.")
    async def run(self, info: Asked, id: strawberry.ID) -> Run | None:
        context = info.context
        context.spend(1)
        require(context.principal, Role.VIEWER)
        try:
            return Run.of(await find_run(context.desk, context.principal, identity(id, "id")))
        except NotFound:
            return None

    @strawberry.field(description="Runs, newest first.")
    async def runs(
        self,
        info: Asked,
        first: int = FIRST,
        after: str | None = None,
        workflow: str | None = None,
        state: RunState | None = None,
        corr_id: str | None = None,
    ) -> Connection[Run]:
        context = info.context
        limit, place = context.page(first), opened(after)
        mode, outcome = filter_of(state)
        where = RunFilter(
            workflow=_short(workflow, "workflow"),
            mode=mode,
            outcome=outcome,
            corr_id=_short(corr_id, "corrId"),
            after=identity(place, "after") if place else None,
            limit=limit,
        )
        rows, more = await page_of_runs(context.desk, context.principal, where)
        runs = [Run.of(row) for row in rows]
        return connection(((str(run.id), run) for run in runs), more)

    @strawberry.field(description="One accepted event, or nothing.")
    async def event(self, info: Asked, id: str) -> Event | None:
        context = info.context
        context.spend(1)
        require(context.principal, Role.VIEWER)
        try:
            return Event.of(await find_event(context.desk, context.principal, _short(id, "id") or ""))
        except NotFound:
            return None

    @strawberry.field(description="Accepted events, newest first.")
    async def events(
        self, info: Asked, first: int = FIRST, after: str | None = None, type: str | None = None
    ) -> Connection[Event]:
        context = info.context
        limit, place = context.page(first), opened(after)
        found, more = await page_of_events(
            context.desk, context.principal, type=_short(type, "type"), after=place, limit=limit
        )
        return connection(((mark, Event.of(row)) for mark, row in found), more)

    @strawberry.field(description="Content by its address, or nothing. What it is, not its bytes: `GET /o/{address}`.")
    async def object(self, info: Asked, address: str) -> Content | None:
        context = info.context
        context.spend(1)
        require(context.principal, Role.VIEWER)
        if not well_formed_address(address):
            raise Refused(Reason.MALFORMED, "address", "address: write b3: and 64 hexadecimal digits.")
        if context.contents is None:
            return None
        content = await context.contents.open(address)
        if content is None:
            return None
        try:
            meta = content.meta
            return Content(
                address=address,
                size_bytes=content.size_bytes,
                type=meta.type,
                content_encoding=meta.content_encoding,
                provider=meta.provider,
                put_at=DateTime(iso(meta.put_us)) if meta.put_us else None,
            )
        finally:
            await content.close()

    @strawberry.field(description="What was put into the content store in your namespace, newest first.")
    async def objects(self, info: Asked, first: int = FIRST, after: str | None = None) -> Connection[Content]:
        context = info.context
        limit, place = context.page(first), opened(after)
        found, more = await page_of_events(context.desk, context.principal, type=PUT_EVENT, after=place, limit=limit)
        return connection(((mark, _content(row)) for mark, row in found), more)

    @strawberry.field(
        description="Decisions, newest first. Needs the administrator's role: the chain spans namespaces. A page looks "
        "at a bounded part of the chain, so one that is short, or empty, need not be the last."
    )
    async def decisions(
        self,
        info: Asked,
        first: int = FIRST,
        after: str | None = None,
        verb: Verb | None = None,
        run_id: str | None = None,
        corr_id: str | None = None,
        allow: bool | None = None,
        chain: str | None = None,
    ) -> Connection[Decision]:
        context = info.context
        limit, place = context.page(first), opened(after)
        where = DecisionFilter(
            verb=verb,
            run=_short(run_id, "runId"),
            corr_id=_short(corr_id, "corrId"),
            allow=allow,
            chain=_short(chain, "chain") or "",
            after=place,
            limit=limit,
        )
        found, end = await page_of_decisions(context.desk, context.principal, where)
        return connection(((one.mark, Decision.of(one)) for one in found), end is not None, end)


def _content(row: EventRow) -> Content:
    told = msgspec.json.decode(row.data)
    return Content(
        address=told["address"],
        size_bytes=told["size_bytes"],
        type=told.get("type", ""),
        content_encoding=told.get("content_encoding", ""),
        provider=told.get("provider", ""),
        put_at=DateTime(iso(row.received_us)),
    )


def _short(text: str | None, field: str) -> str | None:
    if text is not None and len(text) > 200:
        raise Refused(Reason.MALFORMED, "too_long", f"{field}: longer than 200 characters.")
    return text
