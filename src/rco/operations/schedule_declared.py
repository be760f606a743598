"""Schedules that a configuration declares: made, changed and removed until the store says the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from rco.errors import ConfigInvalid, Conflict, NotFound, RcoError
from rco.model.decision import Decision
from rco.model.schedule import Schedule, ScheduleSpec
from rco.operations.desk import Desk
from rco.operations.schedule_change import change_schedule, schedule_decision
from rco.operations.schedule_input import kept_input, says
from rco.operations.schedule_make import add_schedule, checked_ticks, respecified
from rco.scheduler.body import schedule_of

__all__ = ["Reconciled", "check_declared", "keep_declared", "reconcile_schedules"]

_ACTOR = "config"
_PAGE = 500
_AGAIN_S = 1.0


class Reconciled(msgspec.Struct, frozen=True):
    """Names of what was done."""

    created: list[str]
    changed: list[str]
    deleted: list[str]


def check_declared(desk: Desk, declared: Mapping[str, ScheduleSpec]) -> None:
    """Raise ``ConfigInvalid`` for a declared schedule that would never start anything on this node."""
    for name, spec in declared.items():
        try:
            checked_ticks(desk, spec)
        except NotFound as problem:
            raise ConfigInvalid(problem.message, cure=problem.cure, key=f"schedules.{name}.workflow") from None


async def keep_declared(desk: Desk, declared: Mapping[str, ScheduleSpec]) -> None:
    """``reconcile_schedules``, again and again until it is done: a node that has just come may own nothing yet."""
    while True:
        try:
            done = await reconcile_schedules(desk, declared)
        except RcoError as problem:
            desk.log.warning("schedules.not_reconciled", error=problem)
            await asyncio.sleep(_AGAIN_S)
        else:
            if done.created or done.changed or done.deleted:
                desk.log.info("schedules.reconciled", count=sum(map(len, (done.created, done.changed, done.deleted))))
            return


async def reconcile_schedules(desk: Desk, declared: Mapping[str, ScheduleSpec]) -> Reconciled:
    """Bring the store to what is declared, in the node's own namespace. Each step leaves a decision; nothing is done
    where both say the same, so every node may do it at its start.

    Pauses stay. A schedule of the same name that was made by hand is taken over. What is no longer declared is deleted;
    its open runs go on. Raises ``NotFound`` and ``Misuse`` before anything is written when one cannot be used.
    """
    for spec in declared.values():
        checked_ticks(desk, spec)
    done = Reconciled([], [], [])
    for name, spec in sorted(declared.items()):
        row = await desk.reader.schedule_named(desk.namespace, name)
        try:
            if row is None:
                await add_schedule(desk, desk.namespace, name, spec, "config", _ACTOR)
                done.created.append(name)
                continue
        except Conflict:
            # Another node was faster, with what may be another release's configuration: compare with that.
            row = await desk.reader.schedule_named(desk.namespace, name)
        if row is not None and (row.origin != "config" or not await says(desk, schedule_of(row).spec, spec)):
            await _change(desk, name, spec)
            done.changed.append(name)
    after = ""
    while rows := await desk.reader.schedules(desk.namespace, after, _PAGE, "config"):
        for row in rows:
            if row.name not in declared:
                await change_schedule(
                    desk, desk.namespace, row.name, lambda _: None, lambda one: _said(desk, one, "deleted")
                )
                done.deleted.append(row.name)
        after = rows[-1].name
    return done


async def _change(desk: Desk, name: str, spec: ScheduleSpec) -> None:
    stored, kept = await kept_input(desk, desk.namespace, spec)
    await change_schedule(
        desk,
        desk.namespace,
        name,
        lambda schedule: msgspec.structs.replace(respecified(desk, schedule, stored), origin="config"),
        lambda schedule: _said(desk, schedule, "changed"),
        kept,
    )


def _said(desk: Desk, schedule: Schedule, what: str) -> Decision:
    return schedule_decision(desk, _ACTOR, schedule, f"{what} by configuration")
