"""What a journal segment refers to, and the segment with what it refers to in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rco.model.journal import map_records
from rco.model.payload import Reference, holds_reference, loaded, references

__all__ = ["packed_value", "references_of", "with_payloads"]

_pack = msgspec.msgpack.Encoder().encode
_read = msgspec.json.Decoder().decode


def packed_value(reference: Reference, data: bytes) -> bytes:
    """The payload ``data`` of ``reference`` in MessagePack, as it stands where a value does. Of an event's data that
    are no JSON, or hold an integer over 64 bits, it is the text: the same that its waiters see."""
    if not reference.json:
        return data
    try:
        value: Any = _read(data) if data else None
        return _pack(value)
    except (ValueError, OverflowError, RecursionError):
        return _pack(data.decode("utf-8", "replace"))


def references_of(data: bytes) -> list[Reference]:
    """Every reference in a segment, in order. Raises ``ValueError`` for what is no segment."""
    if not holds_reference(data):
        return []
    found: list[Reference] = []

    def note(record: bytes) -> bytes:
        if holds_reference(record):
            found.extend(references(record))
        return record

    map_records(data, note)
    return found


def with_payloads(data: bytes, values: Mapping[bytes, bytes]) -> bytes:
    """The segment with each reference loaded: ``values`` has the packed value by its object's name."""
    return map_records(data, lambda record: loaded(record, values) if holds_reference(record) else record)
