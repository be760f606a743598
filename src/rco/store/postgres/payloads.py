"""Which objects rows refer to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rco.store.contract.payloads import PayloadUse, UserKind
from rco.store.postgres.text import plain_all

__all__ = ["ANY", "FORGET", "SPACE", "USED", "around", "columns"]

_COLUMNS = 5
SPACE = "SELECT space FROM payload_space"
ANY = "SELECT EXISTS (SELECT 1 FROM payload_use)"
USED = "SELECT DISTINCT u.name FROM payload_use AS u WHERE u.name = ANY ($1::bytea[]) AND rco_is_used(u)"
FORGET = (
    "DELETE FROM payload_use AS p WHERE p.name = ANY ($1::bytea[]) AND NOT EXISTS"
    " (SELECT 1 FROM payload_use AS u WHERE u.name = p.name AND rco_is_used(u))"
)


@lru_cache(maxsize=32)
def around(flush: str, arguments: int) -> str:
    """The statement of a flush that also writes references. ``flush`` is the one without, with ``arguments``."""
    places = ", ".join(f"${arguments + at}" for at in range(1, _COLUMNS + 1))
    return f"SELECT rco_payloads({flush.removeprefix('SELECT ')}, {places})"


def columns(uses: list[PayloadUse]) -> tuple[list[Any], ...]:
    """``uses`` in the order of ``rco_payloads``."""
    return (
        [one.name for one in uses],
        [int(one.kind) for one in uses],
        # Compared with the event's id as it is stored here.
        [_stored(one.who) if one.kind is UserKind.EVENT else one.who for one in uses],
        plain_all([one.namespace for one in uses]),
        [one.size_bytes for one in uses],
    )


def _stored(event_id: bytes) -> bytes:
    return event_id.replace(b"\0", "\u2400".encode())
