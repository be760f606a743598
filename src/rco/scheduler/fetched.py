"""The input of a schedule that is kept in the object store, while its runs are about to be started.

A run refers to its schedule's object: nothing is kept twice. Where each run is given its tick's time as well, what it
is given is an object of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rco.engine.engine import Engine
from rco.model.payload import Reference
from rco.model.schedule import Due, Schedule, ScheduleSpec
from rco.scheduler.given import input_of

__all__ = ["Fetched", "fetch", "is_away"]


class Fetched(msgspec.Struct, frozen=True):
    """What stands behind the ``reference`` in a schedule."""

    reference: Reference
    value: Any
    kept: dict[int, Reference]
    """What is given to the run of each tick, where that is more than ``value``."""

    def of(self, spec: ScheduleSpec, due: Due) -> Reference:
        """Where the input of the run of ``due`` is kept."""
        return self.kept[due.tick_us] if spec.tick_field else self.reference


def is_away(spec: ScheduleSpec, fetched: Fetched | None, starts: Sequence[Due]) -> bool:
    """Whether something must be fetched or kept before the runs of ``starts`` can be opened."""
    if not isinstance(spec.input, Reference):
        return False
    if fetched is None:
        return True
    return bool(spec.tick_field) and any(due.tick_us not in fetched.kept for due in starts)


async def fetch(engine: Engine, schedule: Schedule, fetched: Fetched | None, starts: Sequence[Due]) -> Fetched:
    """Everything that ``starts`` need. Raises ``ObjectsAway``, ``EvidenceBroken``, ``PayloadErased``,
    ``PayloadLocked`` and ``Misuse``. What is kept for a run that is not started after all is collected."""
    spec = schedule.spec
    if fetched is None:
        fetched = Fetched(spec.input, await engine.fetch(spec.input), {})
    if not spec.tick_field:
        return fetched
    kept = {due.tick_us: fetched.kept[due.tick_us] for due in starts if due.tick_us in fetched.kept}
    for due in starts:
        if due.tick_us not in kept:
            data = msgspec.msgpack.encode(input_of(spec, fetched.value, due.tick_us))
            kept[due.tick_us] = await engine.keep(schedule.namespace, data)
    return msgspec.structs.replace(fetched, kept=kept)
