"""What changes to schedules mean, in plain dictionaries."""

from __future__ import annotations

from rco.store.contract.schedules import ScheduleRow, ScheduleWrite

__all__ = ["changed_schedules"]


def changed_schedules(
    schedules: dict[bytes, ScheduleRow], writes: list[ScheduleWrite]
) -> dict[bytes, ScheduleRow] | None:
    """The schedules with ``writes`` done, or ``None`` when one of them does not fit."""
    after = schedules.copy()
    for write in writes:
        row, there = write.row, schedules.get(write.row.schedule_id)
        if (there.revision if there is not None else None) != write.expect:
            return None
        if write.expect is None and (row.namespace, row.name) in {(one.namespace, one.name) for one in after.values()}:
            return None
        if write.gone:
            del after[row.schedule_id]
        else:
            after[row.schedule_id] = row
    return after
