"""Between a schedule and its row."""

from __future__ import annotations

import msgspec

from rco.model.payload import Reference, as_value, plain_hook
from rco.model.schedule import Schedule, ScheduleSpec, ScheduleState
from rco.store.contract.schedules import ScheduleRow

__all__ = ["BODY_BYTES_MAX", "row_of", "schedule_of"]

BODY_BYTES_MAX = 1 << 18
"""Of a specification with its state: inputs belong into the object store when they are larger."""


class _Body(msgspec.Struct, frozen=True, array_like=True):
    spec: ScheduleSpec
    state: ScheduleState
    created_us: int
    updated_us: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body, ext_hook=plain_hook).decode


def row_of(schedule: Schedule, rules: str) -> ScheduleRow:
    """The row that keeps ``schedule``; ``rules`` are those its ``due_us`` was worked out under."""
    spec, payload = schedule.spec, None
    if isinstance(spec.input, Reference):
        payload = spec.input.name
        spec = msgspec.structs.replace(spec, input=as_value(spec.input))
    body = _encode(_Body(spec, schedule.state, schedule.created_us, schedule.updated_us))
    return ScheduleRow(
        schedule_id=schedule.schedule_id,
        namespace=schedule.namespace,
        name=schedule.name,
        origin=schedule.origin,
        revision=schedule.revision,
        due_us=schedule.due_us,
        rules=rules,
        body=body,
        payload=payload,
    )


def schedule_of(row: ScheduleRow) -> Schedule:
    """The schedule in ``row``; an input that is kept elsewhere is a ``Reference``. Raises ``msgspec.ValidationError``
    for one that no release has written."""
    body = _decode(row.body)
    return Schedule(
        schedule_id=row.schedule_id,
        name=row.name,
        namespace=row.namespace,
        spec=body.spec,
        state=body.state,
        revision=row.revision,
        origin=row.origin,
        created_us=body.created_us,
        updated_us=body.updated_us,
        due_us=row.due_us,
    )
