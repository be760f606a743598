"""Journal records: what a run did, in the order in which its owner saw it.

A record is ``(kind, key, at_us, fingerprint, body)``. ``key`` is the step key that the caller of an engine primitive
gave; together with ``fingerprint`` it tells on replay whether the code still asks for the same thing. Records of one
run that were flushed together are one *segment*: each record as MessagePack behind its length in 4 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec

from rco.model.payload import plain_hook, stored_hook

__all__ = [
    "COMMANDED",
    "ENCRYPTED",
    "ENCRYPTED_COUNT_AT",
    "Kind",
    "Record",
    "count_records",
    "decode_segment",
    "encode_body",
    "encode_record",
    "map_records",
    "stored_records",
]


ENCRYPTED = b"\xffRC1"
"""What an encrypted segment begins with, and no other: a record of that length is refused long before."""
ENCRYPTED_COUNT_AT = 48
"""Where an encrypted segment says how many records are inside."""


class Kind(IntEnum):
    """Kinds of record. A number is never used again for something else."""

    START = 1
    """body: workflow, version, input, actor, corr_id, trace, parent, parent_key, event_id, queue (name, key,
    priority); of a fork origin: run, step,
    copied (how many records are a copy, with this one), ids ([count, run id]: under which identity it was written)."""
    STEP_INTENT = 2
    """Written and committed before an effect that may not be repeated. body: attempt."""
    STEP_END = 3
    """body: [ok, value or error, attempts]."""
    STEP_RETRY = 4
    """An attempt failed; the next is due. body: attempt, due_us, error."""
    TIMER_SET = 5
    """body: due_us."""
    TIMER_FIRED = 6
    WAIT = 7
    """body: what is waited for."""
    MESSAGE = 8
    """A message was taken. body: [message id, name, value]."""
    CHILD = 9
    """A child run was opened. body: [child run id, workflow]."""
    EMIT = 10
    """body: [event id, type, subject]."""
    STATE = 11
    """body: [name, value]."""
    CANCEL = 12
    """body: reason, actor."""
    COMPENSATE = 13
    """Compensations begin. body: cause."""
    IN_DOUBT = 14
    """body: why."""
    SETTLED = 15
    """A person or a probe settled what was in doubt. body: verdict, value, reason, actor."""
    OWNER = 16
    """A new owner loaded the run. body: epoch."""
    CLOSE = 17
    """body: [outcome, value or error]."""
    PAUSE = 18
    """From here on nothing begins. body: message id, reason, actor."""
    RESUME = 19
    """It goes on. body: message id, reason, actor."""
    PATCH = 20
    """It goes the new way at a place where the code changed. body: the name of the patch."""
    ATTRIBUTE = 23
    """It is found by this from now on. body: [name, type, text, number]; type 0: no more."""
    BEGIN = 21
    """Its turn in its queue has come: its code begins at this time. body: queue, granted_us."""
    VERSION = 22
    """From here on it goes on with another version of the code, which was tried on all that stands before. body: from,
    to, actor, move (the run that moved it)."""


COMMANDED = (Kind.CANCEL, Kind.PAUSE, Kind.RESUME)
"""What was said to the run by a message; ``message_id`` in the body says which."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One journal record. ``body`` is plain data: what MessagePack can carry."""

    kind: int
    key: str
    at_us: int
    fp: bytes = b""
    body: Any = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record, ext_hook=plain_hook).decode
_decode_stored = msgspec.msgpack.Decoder(Record, ext_hook=stored_hook).decode


def encode_record(record: Record) -> bytes:
    """The record as it stands in a segment. Raises ``TypeError`` for what has no plain form."""
    packed = _encode(record)
    return len(packed).to_bytes(4, "big") + packed


def encode_body(record: Record, body: Any) -> bytes:
    """``record`` packed with another body: as it is written where its own holds payloads that are kept elsewhere."""
    return _encode(Record(record.kind, record.key, record.at_us, record.fp, body))


def count_records(data: bytes) -> int:
    """How many records a segment holds, without a look into them."""
    at = count = 0
    while at < len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
        count += 1
    return count


def stored_records(data: bytes) -> int:
    """How many records are in a segment as it is stored: of one that is encrypted, how many it says. Raises
    ``ValueError`` when the bytes are not whole."""
    if data.startswith(ENCRYPTED):
        return int.from_bytes(data[ENCRYPTED_COUNT_AT : ENCRYPTED_COUNT_AT + 4], "big")
    return len(decode_segment(data))


def decode_segment(data: bytes, *, stored: bool = False) -> list[Record]:
    """The records of a segment, with payloads as ``rco.model.payload.plain`` gives them. ``stored``: as they are
    written again, with references as references. Raises ``ValueError`` when the bytes are not whole."""
    decode = _decode_stored if stored else _decode
    records: list[Record] = []
    at, end = 0, len(data)
    while at < end:
        stop = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if stop > end or at + 4 > end:
            raise ValueError(f"journal segment is cut at byte {at} of {end}")
        records.append(decode(data[at + 4 : stop]))
        at = stop
    return records


def map_records(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A whole segment with ``change`` made to each record's bytes."""
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        stop = at + 4 + int.from_bytes(data[at : at + 4], "big")
        packed = change(data[at + 4 : stop])
        parts += (len(packed).to_bytes(4, "big"), packed)
        at = stop
    return b"".join(parts)
