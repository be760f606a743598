"""A namespace: a tenant, its quotas, and what it has used of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["DEFAULT", "NamespaceRow", "NamespaceState", "Quotas", "Usage"]

DEFAULT = "default"
_Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class NamespaceState(StrEnum):
    """``closed``: nothing new is accepted, and what was accepted goes on to its end."""

    ACTIVE = "active"
    CLOSED = "closed"


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a namespace may have. What is not given is not bounded. Each is asked at the door: what was accepted is
    never refused later, and what accepted work does by itself (children, ticks of schedules, events that it emits)
    counts but is not refused."""

    open_runs: _Count | None = None
    starts_per_s: _Count | None = None
    """Runs begun in one second of the clock."""
    starts_per_day: _Count | None = None
    """Runs begun in one day (UTC)."""
    events_per_day: _Count | None = None
    """Events accepted in one day (UTC)."""
    stored_bytes: _Count | None = None
    """Payloads that were accepted and are kept: data of events, inputs of runs that are no children, and whatever is
    kept by reference, once and at its size."""
    schedules: _Count | None = None
    payload_bytes: _Count | None = None
    """Size of one payload: an event's data, a run's input, a signal's value."""

    @property
    def bounded(self) -> bool:
        return self != _UNBOUNDED


_UNBOUNDED = Quotas()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted, since the namespace has quotas. ``open_runs`` is at least as many as there are: closings are
    counted when the bound is met, or when somebody looks."""

    open_runs: int = 0
    second: int = 0
    starts_second: int = 0
    day: int = 0
    starts_day: int = 0
    events_day: int = 0
    stored_bytes: int | None = None
    """Measured only where it is bounded."""
    schedules: int = 0


class NamespaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace as it is stored. ``revision`` counts its changes; ``origin`` is ``config`` or ``api``."""

    name: str
    state: NamespaceState = NamespaceState.ACTIVE
    quotas: Quotas = Quotas()
    created_us: int = 0
    revision: int = 0
    origin: str = "api"

    @property
    def watched(self) -> bool:
        """Whether the door must ask."""
        return self.state is not NamespaceState.ACTIVE or self.quotas.bounded
