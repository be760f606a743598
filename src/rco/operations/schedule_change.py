"""What verbs on schedules share: finding one, changing it, and the decision that the change leaves."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rco.errors import Conflict, NotFound, Overloaded
from rco.kit.ids import id_text
from rco.model.decision import Decision, Verb
from rco.model.payload import Reference
from rco.model.principal import Principal
from rco.model.run import shard_of
from rco.model.schedule import Schedule, ScheduleSpec
from rco.operations.desk import Desk
from rco.scheduler.body import BODY_BYTES_MAX, row_of, schedule_of
from rco.store.contract.changes import Admission, Admitted
from rco.store.contract.payloads import PayloadUse, UserKind
from rco.store.contract.schedules import TOUCHED_US, ScheduleRow, ScheduleWrite

__all__ = ["actor_of", "bounded", "change_schedule", "find_schedule", "schedule_decision", "write_schedule"]

_TRIES = 50


async def find_schedule(desk: Desk, namespace: str, name: str) -> ScheduleRow:
    """The schedule's row, or ``NotFound``."""
    row = await desk.reader.schedule_named(namespace, name)
    if row is None:
        raise NotFound(f"no schedule {name!r}.", cure="See `rco schedule list`.")
    return row


def schedule_decision(
    desk: Desk, actor: str, schedule: Schedule, reason: str, note: str = "", **facts: str | int | bool
) -> Decision:
    """The evidence of a verb on a schedule."""
    more: dict[str, str | int | bool] = {"note": note} if note else {}
    return Decision(
        verb=Verb.SCHEDULE,
        at_us=desk.clock.now_us(),
        actor=actor,
        subject=schedule.name,
        reason=reason,
        facts={"schedule": id_text(schedule.schedule_id), "workflow": schedule.spec.workflow, **more, **facts},
    )


def actor_of(principal: Principal) -> str:
    return f"principal:{principal.principal_id}"


def bounded(row: ScheduleRow, spec: ScheduleSpec) -> ScheduleRow:
    """``row``, or ``Overloaded`` when it is too large to keep."""
    if len(row.body) > BODY_BYTES_MAX:
        raise Overloaded(
            f"the schedule takes {len(row.body)} bytes; the limit is {BODY_BYTES_MAX}.",
            cure="Keep the input elsewhere and send a reference." if spec.input else "Ask for less at a time.",
        )
    return row


async def write_schedule(desk: Desk, write: ScheduleWrite, decision: Decision, kept: Reference | None = None) -> bool:
    """Commit one change. False when the schedule is not what it was made from, or its name is taken. ``kept``: where
    its input is, when it was given one that is too large for the row."""

    def then(outcome: Admitted) -> None:
        if outcome.status == "accepted":
            if write.gone:
                desk.scheduler.forget(write.row.schedule_id)
            else:
                desk.scheduler.heard(write.row)

    row = write.row
    payloads: list[PayloadUse] = []
    if kept is not None:
        payloads.append(PayloadUse(kept.name, UserKind.SCHEDULE, row.schedule_id, row.namespace, kept.size_bytes))
    admission = Admission(done=_later, failed=_later, schedules=[write], accepted=[decision], payloads=payloads)
    admitted = await desk.engine.submit(shard_of(write.row.schedule_id), admission, then)
    return admitted.status == "accepted"


async def change_schedule(
    desk: Desk,
    namespace: str,
    name: str,
    edit: Callable[[Schedule], Schedule | None],
    decide: Callable[[Schedule], Decision],
    kept: Reference | None = None,
) -> Schedule:
    """Change the schedule by ``edit`` (``None``: remove it), whatever else changes it meanwhile. Returns what it was
    changed to, or what was removed. ``kept``: where the input is that ``edit`` gives it, when that is large.

    Where this node owns the schedule its scheduler goes on from the change at once, else its owner hears of it within
    seconds. Raises ``NotFound``, and what ``edit`` raises.
    """
    for _ in range(_TRIES):
        row = await find_schedule(desk, namespace, name)
        before = schedule_of(row)
        after = edit(before)
        if after is None:
            write = ScheduleWrite(row=row, expect=row.revision, gone=True)
        else:
            after = msgspec.structs.replace(after, revision=before.revision + 1, due_us=TOUCHED_US)
            write = ScheduleWrite(row=bounded(row_of(after, row.rules), after.spec), expect=row.revision)
        if await write_schedule(desk, write, decide(after or before), kept):
            return after or before
    raise Conflict(f"schedule {name!r} changes too often to be changed.", cure="Try again.")


def _later(_: object) -> None:
    """Replaced by ``Engine.submit``."""
