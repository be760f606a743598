"""A run: one execution of a workflow, and the states it can be in."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from rco.kit.ids import id_text
from rco.model.attribute import Attribute
from rco.model.queue import Place

__all__ = ["SHARDS", "TRANSITIONS", "Mode", "Outcome", "RunRow", "fork_prefix", "shard_of"]

SHARDS = 256


class Mode(IntEnum):
    """Where an open run is. A closed run has an ``Outcome`` instead."""

    HOT = 0
    """In its owner's memory, or to be loaded by it."""
    PARKED = 1
    """Waiting; costs no memory."""
    BLOCKED = 2
    """Its code changed; it waits for code that fits or for a person."""
    IN_DOUBT = 3
    """A call that may not be repeated may have happened; it waits to be settled."""
    CLOSED = 4
    PAUSED = 5
    """Somebody set it aside: nothing begins, what comes for it is kept, until it is resumed."""
    QUEUED = 6
    """Waiting in a queue for its turn; it has not begun and costs no memory."""


class Outcome(StrEnum):
    """How a run closed."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"


TRANSITIONS: dict[Mode, frozenset[Mode]] = {
    Mode.HOT: frozenset({Mode.PARKED, Mode.BLOCKED, Mode.IN_DOUBT, Mode.PAUSED, Mode.CLOSED}),
    Mode.PARKED: frozenset({Mode.HOT, Mode.BLOCKED, Mode.CLOSED}),
    Mode.BLOCKED: frozenset({Mode.HOT, Mode.CLOSED}),
    Mode.IN_DOUBT: frozenset({Mode.HOT, Mode.BLOCKED, Mode.PAUSED, Mode.CLOSED}),
    Mode.PAUSED: frozenset({Mode.HOT, Mode.BLOCKED, Mode.IN_DOUBT, Mode.QUEUED, Mode.CLOSED}),
    Mode.QUEUED: frozenset({Mode.HOT, Mode.BLOCKED, Mode.PAUSED, Mode.CLOSED}),
    Mode.CLOSED: frozenset(),
}


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of a run without reading its journal."""

    run_id: bytes
    workflow: str
    version: str
    mode: Mode
    opened_us: int
    namespace: str = "default"
    key: str | None = None
    parent: bytes | None = None
    corr_id: str = ""
    closed_us: int | None = None
    outcome: Outcome | None = None
    detail: bytes | None = None
    """JSON: the result, the error, or why it is blocked, in doubt, or queued."""
    attributes: tuple[Attribute, ...] = ()
    """Of a run that is opened with some: they are put in with it. A row that is read has none."""
    place: Place | None = None
    """Of a run that is opened in a queue: its item is put in with it. A row that is read has none."""


def fork_prefix(run_id: bytes) -> str:
    """What the start keys of a run's forks begin with: so its forks are found."""
    return f"fork:{id_text(run_id)}:"


def shard_of(run_id: bytes) -> int:
    """The shard of a run, 0 to 255: its identity's last byte, so that no table is needed to find an owner."""
    return run_id[15]
