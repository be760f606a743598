"""The things of the graph: runs, events, content, decisions. Each is made of a row, and shows what ``/v1`` shows."""

from __future__ import annotations

import enum
from typing import NewType

import msgspec
import strawberry
from strawberry.scalars import JSON

from rco.kit.clock import iso
from rco.kit.ids import id_bytes, id_text
from rco.model.decision import Verb
from rco.model.event import Event as EventRow
from rco.model.principal import Role
from rco.model.run import Mode, Outcome, RunRow
from rco.model.wire import TimelineEntry
from rco.operations.access import require
from rco.operations.inspect_decisions import Decided
from rco.operations.inspect_runs import show_run
from rco.operations.view import MODES_OF, event_data, run_detail, state_of
from rco.server.graphql.context import Asked

__all__ = ["Content", "DateTime", "Decision", "Event", "Run", "RunState", "Step", "Verb", "filter_of"]

RESULT_COST = 10
"""What a result counts as: it may be large."""
TIMELINE_COST = 100

DateTime = NewType("DateTime", str)


@strawberry.enum(description="Where a run is. The last four are closed.")
class RunState(enum.Enum):
    RUNNING = "running"
    WAITING = "waiting"
    BLOCKED = "blocked"
    IN_DOUBT = "in_doubt"
    PAUSED = "paused"
    QUEUED = "queued"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"


strawberry.enum(Verb, description="What was decided on.")


def filter_of(state: RunState | None) -> tuple[Mode | None, Outcome | None]:
    """The mode or the outcome that a state stands for."""
    if state is None:
        return None, None
    mode = MODES_OF.get(state.value)
    return mode, Outcome(state.value) if mode is None else None


@strawberry.type(description="One thing that a run did or waits for.")
class Step:
    at: DateTime
    kind: str
    outcome: str
    key: str
    attempts: int
    duration_ms: float | None
    note: str

    @classmethod
    def of(cls, entry: TimelineEntry) -> Step:
        return cls(**{**msgspec.structs.asdict(entry), "at": DateTime(entry.at)})


@strawberry.type(description="One execution of a workflow.")
class Run:
    row: strawberry.Private[RunRow]
    id: strawberry.ID
    workflow: str
    version: str
    state: RunState
    opened_at: DateTime
    closed_at: DateTime | None
    key: str | None
    corr_id: str
    namespace: str

    @classmethod
    def of(cls, row: RunRow) -> Run:
        return cls(
            row=row,
            id=strawberry.ID(id_text(row.run_id)),
            workflow=row.workflow,
            version=row.version,
            state=RunState(state_of(row)),
            opened_at=DateTime(iso(row.opened_us)),
            closed_at=DateTime(iso(row.closed_us)) if row.closed_us is not None else None,
            key=row.key,
            corr_id=row.corr_id,
            namespace=row.namespace,
        )

    @strawberry.field(description="What it returned.")
    def result(self, info: Asked) -> JSON | None:
        info.context.spend(RESULT_COST)
        return _json(run_detail(self.row)[0])

    @strawberry.field(description="Why it failed, or why it is blocked or in doubt.")
    def error(self, info: Asked) -> JSON | None:
        info.context.spend(RESULT_COST)
        return _json(run_detail(self.row)[1])

    @strawberry.field(description="The run that opened it as a child.")
    async def parent(self, info: Asked) -> Run | None:
        if self.row.parent is None:
            return None
        info.context.spend(1)
        row = await info.context.runs.load(self.row.parent)
        return None if row is None else Run.of(row)

    @strawberry.field(description="What it did, in order; of a long one the beginning and the end.")
    async def timeline(self, info: Asked) -> list[Step]:
        context = info.context
        context.spend(TIMELINE_COST)
        return [Step.of(entry) for entry in (await show_run(context.desk, context.principal, self.row.run_id)).timeline]


@strawberry.type(description="A verified event that was accepted.")
class Event:
    row: strawberry.Private[EventRow]
    id: str
    source: str
    type: str
    subject: str | None
    time: DateTime
    received_at: DateTime
    corr_id: str
    origin: str

    @classmethod
    def of(cls, row: EventRow) -> Event:
        return cls(
            row=row,
            id=row.id,
            source=row.source,
            type=row.type,
            subject=row.subject,
            time=DateTime(iso(row.time_us)),
            received_at=DateTime(iso(row.received_us)),
            corr_id=row.corr_id,
            origin=row.origin,
        )

    @strawberry.field(description="Its data. Needs the operator's role: it may be about people.")
    def data(self, info: Asked) -> JSON | None:
        require(info.context.principal, Role.OPERATOR)
        info.context.spend(RESULT_COST)
        return None if (data := event_data(self.row)) is None else _json(data)


@strawberry.type(description="Content in the store, by its address: the BLAKE3 digest of its bytes.")
class Content:
    address: str
    size_bytes: float
    type: str
    content_encoding: str
    provider: str
    put_at: DateTime | None


@strawberry.type(description="A record of the audit chain: who decided what about which thing, and why.")
class Decision:
    decided: strawberry.Private[Decided]
    verb: Verb
    at: DateTime
    allow: bool
    actor: str
    subject: str
    run_id: str | None
    event_id: str | None
    corr_id: str
    reason: str
    b3: str
    facts: JSON
    chain: str
    link: float

    @classmethod
    def of(cls, decided: Decided) -> Decision:
        one = decided.decision
        return cls(
            decided=decided,
            verb=one.verb,
            at=DateTime(iso(one.at_us)),
            allow=one.allow,
            actor=one.actor,
            subject=one.subject,
            run_id=one.run or None,
            event_id=one.event or None,
            corr_id=one.corr_id,
            reason=one.reason,
            b3=one.b3,
            facts=JSON(dict(one.facts)),
            chain=decided.chain,
            link=decided.n,
        )

    @strawberry.field(description="The run that it is about, when it is one of your namespace.")
    async def run(self, info: Asked) -> Run | None:
        name = self.decided.decision.run
        if not name:
            return None
        info.context.spend(1)
        row = await info.context.runs.load(id_bytes(name))
        return None if row is None else Run.of(row)


def _json(value: object) -> JSON | None:
    return None if value is None else JSON(value)
