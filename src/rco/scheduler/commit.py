"""What one look at a schedule writes: its advance, the runs it starts, the ticks it passes over, all in one commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from rco.engine.ask import StartAsk
from rco.engine.engine import Engine
from rco.engine.opening import Opening
from rco.kit.clock import Clock, iso
from rco.kit.ids import Ids, id_text
from rco.model.decision import Decision, Verb
from rco.model.run import shard_of
from rco.model.schedule import RECENT_MAX, RUNNING_MAX, Due, Recent, Schedule, ScheduleSpec
from rco.scheduler.body import row_of
from rco.scheduler.decide import Passed, Verdict
from rco.scheduler.entry import WORK_US, Entry
from rco.scheduler.fetched import Fetched
from rco.scheduler.given import input_of
from rco.scheduler.ticks import Ticks
from rco.store.contract.changes import Admission, Admitted
from rco.store.contract.schedules import ScheduleRow, ScheduleWrite
from rco.store.contract.writer import Writer

__all__ = ["Clear", "Commit", "Made", "start_key"]

Clear = Callable[[Schedule, str], Callable[[bytes], Any] | None]
"""From a schedule and a correlation id to the grant of the run that it starts; see ``StartAsk.grant_for``."""


class Made(msgspec.Struct, frozen=True):
    """A commit ready to be sent."""

    schedule: Schedule
    """As it is afterwards."""
    row: ScheduleRow
    expect: int
    starts: list[tuple[Due, Opening]]
    fires: list[int | None]
    """For each of ``starts`` when its time came; ``None`` for those that had to wait by policy."""
    decisions: list[Decision]
    gone: bool


def start_key(schedule_id: bytes, due: Due) -> str:
    """The key of the run for a tick: there is one run for a tick, whoever starts it. A trigger is no tick."""
    if due.kind == "trigger":
        return f"schedule:{id_text(schedule_id)}:trigger:{id_text(due.run_id or b'')}"
    return f"schedule:{id_text(schedule_id)}:{iso(due.tick_us)}"


class Commit:
    """Makes and sends commits."""

    def __init__(self, engine: Engine, writer: Writer, clock: Clock, ids: Ids, clear: Clear) -> None:
        self._engine, self._writer, self._clock, self._ids = engine, writer, clock, ids
        self._clear = clear

    def make(
        self, entry: Entry, ticks: Ticks, verdict: Verdict, rules: str, fetched: Fetched | None = None
    ) -> Made | None:
        """What ``verdict`` leads to; ``None`` when nothing is to be written. ``fetched``: the schedule's input, where
        that is kept elsewhere and something is started.

        Raises ``Overloaded`` when there is no room for its runs, ``NotFound`` when their workflow is not there,
        ``Misuse`` when their input cannot be stored. Nothing was written then.
        """
        before = entry.schedule
        spec, state = before.spec, verdict.state
        gone = verdict.done and spec.delete_when_done
        due_us = _look_at(spec, verdict)
        if not (verdict.starts or verdict.passed or gone) and (state, due_us, rules) == (
            before.state,
            before.due_us,
            entry.rules,
        ):
            return None
        if verdict.starts:
            self._engine.admit(len(verdict.starts))
        starts = [(due, self._open(before, due, fetched)) for due in verdict.starts]
        waited = set(before.state.waiting)
        fires = [None if due in waited or due.kind == "backfill" else _fire_us(before, ticks, due) for due, _ in starts]
        now_us = self._clock.now_us()
        run_ids = tuple(opening.row.run_id for _, opening in starts)
        recent = [Recent(due.tick_us, now_us, opening.row.run_id, due.kind) for due, opening in reversed(starts)]
        state = replace(
            state,
            running=() if spec.overlap == "allow" else (state.running + run_ids)[-RUNNING_MAX:],
            recent=(*recent, *state.recent)[:RECENT_MAX],
            started=state.started + len(starts),
        )
        after = replace(before, state=state, revision=before.revision + 1, due_us=due_us)
        decisions = [self._passed(before, one, now_us) for one in verdict.passed]
        if gone:
            decisions.append(self._decision(before, "deleted: its last tick is done", now_us, allow=True))
        return Made(after, row_of(after, rules), before.revision, starts, fires, decisions, gone)

    def send(self, made: Made, done: Callable[[Admitted], None], failed: Callable[[BaseException], None]) -> None:
        """Hand it to the writer. ``done`` is called with the answer in the commit's own turn."""
        keyed = []
        for due, opening in made.starts:
            assert opening.start_key is not None
            facts: dict[str, str | int | bool] = {
                "schedule": id_text(made.schedule.schedule_id),
                "tick": iso(due.tick_us),
                "kind": due.kind,
            }
            keyed.append((opening.start_key, opening.row, opening.segment, replace(opening.decision, facts=facts)))
        changes = self._writer.changes(shard_of(made.schedule.schedule_id))
        payloads = [use for _, opening in made.starts for use in opening.payloads]
        changes.payloads.extend(payloads)
        changes.admissions.append(
            Admission(
                done=done,
                failed=failed,
                keyed=keyed,
                schedules=[ScheduleWrite(row=made.row, expect=made.expect, gone=made.gone, owned=True)],
                accepted=made.decisions,
                payloads=payloads,
            )
        )
        changes.records += 1

    def _open(self, schedule: Schedule, due: Due, fetched: Fetched | None) -> Opening:
        corr_id = self._ids.ulid()
        given, reference = schedule.spec.input, None
        if fetched is not None:
            given, reference = fetched.value, fetched.of(schedule.spec, due)
        ask = StartAsk(
            workflow=schedule.spec.workflow,
            input=input_of(schedule.spec, given, due.tick_us),
            key=start_key(schedule.schedule_id, due),
            namespace=schedule.namespace,
            queue=schedule.spec.queue,
            fair_key=schedule.spec.fair_key,
            priority=schedule.spec.priority,
            actor=due.actor or f"schedule:{schedule.name}",
            corr_id=corr_id,
            grant_for=self._clear(schedule, corr_id),
        )
        # On the schedule's own shard: who owns it hears of the closing, and one fence covers both.
        run_id = due.run_id or self._ids.uuid7(shard_of(schedule.schedule_id))
        return self._engine.prepare(ask, run_id=run_id, reference=reference, again=not schedule.spec.tick_field)

    def _passed(self, schedule: Schedule, passed: Passed, now_us: int) -> Decision:
        more: dict[str, str | int | bool] = {"tick": iso(passed.first_us)}
        if passed.count != 1:
            more |= {"until": iso(passed.last_us), "count": passed.count}
        return self._decision(schedule, f"passed over: {passed.reason}", now_us, allow=False, **more)

    def _decision(
        self, schedule: Schedule, reason: str, now_us: int, *, allow: bool, **facts: str | int | bool
    ) -> Decision:
        return Decision(
            verb=Verb.SCHEDULE,
            at_us=now_us,
            allow=allow,
            actor=f"schedule:{schedule.name}",
            subject=schedule.name,
            reason=reason,
            facts={"schedule": id_text(schedule.schedule_id), **facts},
        )


def _look_at(spec: ScheduleSpec, verdict: Verdict) -> int | None:
    """What stands in the row: who takes the schedule over must look at once where somebody waits."""
    state = verdict.state
    ending = spec.delete_when_done and verdict.due_us is None and not state.paused
    if verdict.more or state.waiting or state.backfills or ending:
        return WORK_US
    return verdict.due_us


def _fire_us(schedule: Schedule, ticks: Ticks, due: Due) -> int:
    return due.tick_us if due.kind == "trigger" else ticks.fire_us(schedule.schedule_id, due.tick_us)
