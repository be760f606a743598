"""A record: one decision as a sink outside the store keeps it, chained with the one before.

A sink's chain is JSON lines, each byte for byte what ``Record`` encodes to. Numbers are unsigned, 8 bytes, big-endian;
each part stands behind its length as in ``rco.audit.link``::

    hash = BLAKE3(parts("rco audit record v1", prev, n, dropped, decision))

``dropped`` says how many decisions the sink lost just before this one because its queue was full: a loss is part of
the evidence, and cannot be told from outside by taking records away.
"""

from __future__ import annotations

import msgspec
from blake3 import blake3

from rco.audit.chain import decisions_json
from rco.audit.link import GENESIS
from rco.kit.digest import length_prefixed
from rco.model.decision import Decision

__all__ = ["MAX_RECORD_BYTES", "TORN", "Chain", "Record", "decode_record", "encode_record", "record_hash"]

MAX_RECORD_BYTES = 1 << 20
"""The longest line that is written or read."""
TORN = "torn_line"
"""The reason of the decision (``node``) that stands behind a line which a crash cut off."""
_DOMAIN = b"rco audit record v1"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="record"):
    """One line. Everything but ``hash`` is what ``hash`` is made of."""

    n: int
    dropped: int
    prev: str
    hash: str
    decision: msgspec.Raw
    """The canonical JSON object, verbatim."""


_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


def record_hash(*, prev: bytes, n: int, dropped: int, decision: bytes) -> bytes:
    """The 32-byte hash of a record. Raises ``OverflowError`` for numbers that are none of 8 bytes."""
    numbers = (n.to_bytes(8, "big"), dropped.to_bytes(8, "big"))
    return blake3(length_prefixed(_DOMAIN, prev, *numbers, decision)).digest()


class Chain:
    """Where a sink's chain stands. Belongs to one thread."""

    __slots__ = ("head", "n")

    def __init__(self, n: int = 0, head: bytes = GENESIS) -> None:
        self.n, self.head = n, head
        """The number and the hash of the last record; 0 and ``GENESIS`` before the first."""

    def add(self, decision: Decision, dropped: int = 0) -> Record:
        """The next record."""
        text = decisions_json([decision])[1:-1]
        n, prev = self.n + 1, self.head
        self.head = record_hash(prev=prev, n=n, dropped=dropped, decision=text)
        self.n = n
        return Record(n, dropped, prev.hex(), self.head.hex(), msgspec.Raw(text))


def encode_record(record: Record) -> bytes:
    """The record's line, with its line feed."""
    return _encode(record) + b"\n"


def decode_record(text: bytes) -> Record:
    """The record in ``text``, with or without its line feed. Raises ``ValueError`` when not one in its exact form."""
    bare = text.removesuffix(b"\n")
    if len(bare) > MAX_RECORD_BYTES:
        raise ValueError(f"longer than {MAX_RECORD_BYTES} bytes")
    try:
        record = _decode(bare)
        digests = (len(bytes.fromhex(record.prev)), len(bytes.fromhex(record.hash)))
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if digests != (len(GENESIS), len(GENESIS)) or record.n < 1 or record.dropped < 0:
        raise ValueError("a number or a digest that is none")
    if _encode(record) != bare:
        raise ValueError("not in the exact form of this format (spacing, order of fields, case of digits)")
    return record
