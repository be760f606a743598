"""An entry of an outbox, and what becomes of it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Entry", "Fate", "Handled"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """``body`` is JSON as text, ``None`` where it is larger than what is read; ``size_bytes`` says how large."""

    id: int
    entry_id: str
    ordering: str
    kind: str
    name: str
    key: str | None
    run_id: str | None
    message_id: str | None
    corr_id: str | None
    by_role: str
    tries: int
    size_bytes: int
    body: str | None


class Fate(StrEnum):
    """``LATER``: this one and those behind it in its ordering are tried again. ``STOP``: nothing can be taken now."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    LATER = "later"
    STOP = "stop"


class Handled(msgspec.Struct, frozen=True):
    """``cause`` of what is not accepted."""

    fate: Fate
    cause: str = ""
