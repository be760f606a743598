"""Schedules of a simulated world: there when it begins, over a while after its faults have stopped."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from rco.kit.clock import MICROS, iso
from rco.kit.digest import digest
from rco.kit.ids import Ids
from rco.model.payload import NAME_BYTES, Reference
from rco.model.schedule import Overlap, Schedule, ScheduleSpec, ScheduleState
from rco.scheduler.body import row_of
from rco.store.contract.schedules import TOUCHED_US, ScheduleRow
from rco.testing.clocks import EPOCH_US, ManualClock
from rco.testing.plan import Plan

__all__ = ["CALM_S", "schedules_of"]

CALM_S = 10.0
"""Ticks go on for so long after the faults."""
OVERLAPS: tuple[Overlap, ...] = ("allow", "allow", "skip", "buffer_one", "buffer_all")


def _nowhere(reference: Reference, data: bytes) -> None:
    del reference, data


def schedules_of(plan: Plan, keep: Callable[[Reference, bytes], object] = _nowhere) -> list[ScheduleRow]:
    """The rows that the database of this world begins with. ``keep`` is given what is too large for them."""
    rows: list[ScheduleRow] = []
    ids = Ids(ManualClock(EPOCH_US), Random(f"schedules {plan.seed}").randbytes)  # noqa: S311 - not for secrets
    for number in range(plan.schedules):
        random = Random(f"schedule {number} {plan.seed}")  # noqa: S311 - likewise
        every_s = random.choice((1.0, 2.5, 7.0))
        overlap = random.choice(OVERLAPS)
        # A run may be shorter or longer than the time to the next tick; a line must come to its end.
        longest_s = 0.5 if overlap == "buffer_all" else 2.0
        spec = ScheduleSpec(
            workflow="nap",
            input={"order": f"schedule-{number}", "seconds": round(random.random() * every_s * longest_s, 3)},
            every_s=every_s,
            end_at=iso(EPOCH_US + round((plan.troubled_s + CALM_S) * MICROS)),
            jitter_s=random.choice((0.0, 0.0, 0.5)),
            overlap=overlap,
            catch_up=random.choice(("all", "latest", "none")),
        )
        data = msgspec.msgpack.encode(spec.input)
        if 0 < plan.payload_over_bytes < len(data):
            reference = Reference(random.randbytes(NAME_BYTES), digest(data), len(data))
            keep(reference, data)
            spec = msgspec.structs.replace(spec, input=reference)
        schedule = Schedule(
            schedule_id=ids.uuid7(),
            name=f"s{number}",
            namespace="default",
            spec=spec,
            state=ScheduleState(decided_us=EPOCH_US),
            revision=1,
            origin="api",
            created_us=EPOCH_US,
            updated_us=EPOCH_US,
            due_us=TOUCHED_US,
        )
        rows.append(row_of(schedule, "simulation"))
    return rows
