"""Bodies of the control API about payloads that are kept by reference."""

from __future__ import annotations

import msgspec

__all__ = ["PayloadSweep"]


class PayloadSweep(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the payloads in the object store found, ``at`` a time (null: none since the node started): so many
    ``used``, so many unused that are ``waiting`` for their grace to end, and so many ``removed``, or with ``preview``
    to be removed."""

    at: str | None
    preview: bool
    used: int
    waiting: int
    removed: int
    removed_bytes: int
