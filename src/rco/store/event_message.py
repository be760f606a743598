"""What an event looks like to a run that waits for it."""

from __future__ import annotations

from typing import Any

import msgspec

from rco.kit.clock import iso

__all__ = ["LOOK_BACK_LIMIT", "event_body", "subject_match"]

LOOK_BACK_LIMIT = 100
"""How many earlier events one new waiter is given at most, the oldest first."""

_pack = msgspec.msgpack.Encoder().encode
_read = msgspec.json.Decoder().decode


def subject_match(subject: str | None) -> str:
    """How a waiter's subject stands in the table: ``*`` for any, else ``=`` and the subject."""
    return "*" if subject is None else "=" + subject


def event_body(id: str, source: str, type: str, subject: str | None, time_us: int, data: bytes) -> bytes:
    """The body of an event's message: MessagePack of what a workflow sees.

    ``data`` is decoded JSON; text that is no JSON, or holds an integer over 64 bits, comes as it is, because an event
    that was accepted must not be lost for its form. What no text begins with is encrypted, and stays bytes.
    """
    seen: dict[str, Any] = {"id": id, "source": source, "type": type, "subject": subject, "time": iso(time_us)}
    if data[:1] == b"\xff":
        return _pack({**seen, "data": data})
    try:
        return _pack({**seen, "data": _read(data) if data else None})
    except (ValueError, OverflowError, RecursionError):
        return _pack({**seen, "data": data.decode("utf-8", "replace")})
