"""Inputs of schedules that are too large for a row: kept before the schedule is written, fetched for who looks."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from rco.errors import EvidenceBroken, Misuse, ObjectsAway, PayloadErased, PayloadLocked
from rco.model.payload import BY_REFERENCE, Reference
from rco.model.schedule import ScheduleSpec
from rco.operations.desk import Desk

__all__ = ["kept_input", "says", "shown_spec"]

_GONE = (PayloadErased, PayloadLocked, EvidenceBroken)


async def kept_input(desk: Desk, namespace: str, spec: ScheduleSpec) -> tuple[ScheduleSpec, Reference | None]:
    """``spec`` as it is stored, and where its input is kept when that is too large for the row. Raises ``ObjectsAway``,
    and ``Misuse`` for an input that has no plain form or is larger than that of a run may be."""
    try:
        data = msgspec.msgpack.encode(spec.input)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
        raise Misuse(
            f"the input cannot be stored: {problem}.", cure="Send plain data: dict, list, str, numbers."
        ) from None
    if len(data) <= desk.engine.over_bytes:
        return spec, None
    limit = desk.engine.input_limit_bytes
    if len(data) > limit:
        raise Misuse(
            f"the input is {len(data)} bytes; the limit is {limit}.", cure="Store it elsewhere and send a reference."
        )
    reference = await desk.engine.keep(namespace, data)
    return replace(spec, input=reference), reference


async def shown_spec(desk: Desk, spec: ScheduleSpec) -> ScheduleSpec:
    """``spec`` with its input, or with why that cannot be read now: what else is known must be shown all the same."""
    if not isinstance(spec.input, Reference):
        return spec
    try:
        return replace(spec, input=await desk.engine.fetch(spec.input))
    except (*_GONE, ObjectsAway) as problem:
        told = {"code": problem.code, "message": str(problem), "size_bytes": spec.input.size_bytes}
        return replace(spec, input={BY_REFERENCE: told})


async def says(desk: Desk, stored: ScheduleSpec, spec: ScheduleSpec) -> bool:
    """Whether ``stored`` says what ``spec`` does. What nobody can read any more says something else. Raises
    ``ObjectsAway`` when that cannot be told now."""
    if not isinstance(stored.input, Reference):
        return stored == spec
    if replace(stored, input=None) != replace(spec, input=None):
        return False
    try:
        return bool(await desk.engine.fetch(stored.input) == spec.input)
    except _GONE:
        return False
