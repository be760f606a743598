"""What the run of a tick is given."""

from __future__ import annotations

from typing import Any

from rco.errors import Misuse
from rco.kit.clock import iso
from rco.model.schedule import ScheduleSpec

__all__ = ["input_of"]


def input_of(spec: ScheduleSpec, given: Any, tick_us: int) -> Any:
    """What the run of a tick is given, ``given`` being the schedule's input. Raises ``Misuse`` where that has no place
    for the tick's time."""
    if not spec.tick_field:
        return given
    if given is None:
        return {spec.tick_field: iso(tick_us)}
    if not isinstance(given, dict):
        raise Misuse("tick_field needs an input that is an object.", cure="Leave it out, or write {...}.")
    return {**given, spec.tick_field: iso(tick_us)}
