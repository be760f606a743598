"""What is asked of the engine, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rco.model.attribute import Attribute

__all__ = ["StartAsk", "Started"]


class StartAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Start ``workflow`` with ``input`` (plain data).

    ``key``: the same key with the same workflow and input is the same run; with another input it is a ``Conflict``.
    """

    workflow: str
    input: Any = None
    key: str | None = None
    namespace: str = "default"
    actor: str = ""
    corr_id: str = ""
    trace: str = ""
    event_id: str = ""
    attributes: tuple[Attribute, ...] = ()
    """What the run is found by from the start."""
    queue: str = ""
    """The queue to wait in; empty: that of the workflow, if it has one."""
    fair_key: str = ""
    """Whose turn it takes: runs of other keys are not held up by many of this one."""
    priority: int | None = None
    """0 (first) to 9; ``None``: the queue's own."""
    of_event: bool = False
    """What may be large of ``input`` are the data of the event that starts it: they are kept once for all."""
    large: tuple[str, ...] = ()
    """Where in ``input`` that stands which is kept by reference when it is too large; empty: all of it."""
    grant_for: Callable[[bytes], Any] | None = None
    """Gives what the run that gets this identity holds: plain data, kept in its first record."""


class Started(msgspec.Struct, frozen=True):
    """The run, and whether this asking opened it."""

    run_id: bytes
    created: bool
