"""Which objects rows refer to."""

from __future__ import annotations

from typing import Any

from rco.store.contract.payloads import PayloadUse, UserKind
from rco.store.postgres.text import plain_all

__all__ = ["ANY", "FORGET", "SPACE", "USED", "columns"]

SPACE = "SELECT space FROM payload_space"
ANY = "SELECT EXISTS (SELECT 1 FROM payload_use)"
USED = "SELECT DISTINCT u.name FROM payload_use AS u WHERE u.name = ANY ($1::bytea[]) AND rco_is_used(u)"
FORGET = (
    "DELETE FROM payload_use AS p WHERE p.name = ANY ($1::bytea[]) AND NOT EXISTS"
    " (SELECT 1 FROM payload_use AS u WHERE u.name = p.name AND rco_is_used(u))"
)


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
