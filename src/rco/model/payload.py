"""A payload by reference: what stands where a large value would, and how values that hold one are read.

The value itself is an object in the object store, written before the commit that refers to it. Where MessagePack is
stored (journal, inbox) a reference is an extension of type ``EXTENSION``; where bytes of JSON are stored (an event's
data) it is the reference's own bytes, which no text begins with; a run's detail names it in a member of its own.

What a reader fetched stands behind its reference within the same extension: *loaded*. So who reads a value meets the
value, and who writes it down again can write the reference alone, without asking the object store for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

__all__ = [
    "BY_REFERENCE",
    "EXTENSION",
    "MAGIC",
    "NAME_BYTES",
    "REFERENCE_BYTES",
    "Kept",
    "Reference",
    "as_value",
    "holds_reference",
    "is_reference",
    "loaded",
    "plain",
    "plain_hook",
    "reference_in",
    "references",
    "stored_form",
    "stored_hook",
]

MAGIC = b"\xffRP1"
EXTENSION = 82
NAME_BYTES = 16
_DIGEST_BYTES = 32
REFERENCE_BYTES = len(MAGIC) + 1 + NAME_BYTES + _DIGEST_BYTES + 8
BY_REFERENCE = "by_reference"
"""The member of a run's detail that names the object, as hexadecimal digits of the reference."""


class Reference(msgspec.Struct, frozen=True):
    """Which object holds a payload. ``digest`` (BLAKE3-256) is of the object's bytes as they are kept, encrypted where
    the namespace is; ``size_bytes`` of the payload. ``json``: it is JSON text, else MessagePack."""

    name: bytes
    digest: bytes
    size_bytes: int
    json: bool = False

    def encoded(self) -> bytes:
        """``REFERENCE_BYTES`` bytes."""
        return MAGIC + bytes((self.json,)) + self.name + self.digest + self.size_bytes.to_bytes(8, "big")

    @staticmethod
    def decode(data: bytes) -> Reference:
        """What ``encoded`` gave. Raises ``ValueError`` for anything else."""
        if not is_reference(data):
            raise ValueError(f"{len(data)} bytes are no reference to a payload")
        at = len(MAGIC) + 1
        name, digest = data[at : at + NAME_BYTES], data[at + NAME_BYTES : at + NAME_BYTES + _DIGEST_BYTES]
        return Reference(name, digest, int.from_bytes(data[-8:], "big"), bool(data[len(MAGIC)]))


class Kept(msgspec.Struct, frozen=True):
    """What became of the asking to keep a payload as an object. ``reference`` is ``None`` where it stays inline."""

    reference: Reference | None


def is_reference(data: bytes) -> bool:
    """Whether ``data`` is a reference by its form."""
    return len(data) == REFERENCE_BYTES and data.startswith(MAGIC)


def holds_reference(data: bytes) -> bool:
    """Whether a reference may stand somewhere in ``data``. False is sure, true is a reason to look."""
    return MAGIC in data


def as_value(reference: Reference) -> Any:
    """``reference`` as it stands within a value that is packed."""
    return msgspec.msgpack.Ext(EXTENSION, reference.encoded())


def reference_in(value: Any) -> Reference | None:
    """The reference that ``value``, in its stored form, is; ``None`` where it is none."""
    if isinstance(value, msgspec.msgpack.Ext) and value.code == EXTENSION and is_reference(bytes(value.data)):
        return Reference.decode(bytes(value.data))
    return None


def plain_hook(code: int, data: memoryview) -> Any:
    """For a decoder of MessagePack: see ``plain``."""
    if code != EXTENSION or len(data) < REFERENCE_BYTES:
        return msgspec.msgpack.Ext(code, bytes(data))
    if len(data) == REFERENCE_BYTES:
        return Reference.decode(bytes(data))
    return plain(bytes(data[REFERENCE_BYTES:]))


def stored_hook(code: int, data: memoryview) -> Any:
    """For a decoder of MessagePack: see ``stored_form``."""
    return msgspec.msgpack.Ext(code, bytes(data[:REFERENCE_BYTES] if code == EXTENSION else data))


plain: Callable[[bytes], Any] = msgspec.msgpack.Decoder(ext_hook=plain_hook).decode
"""The value in MessagePack: what is loaded as the value that it is, what is not as a ``Reference``."""
stored_form: Callable[[bytes], Any] = msgspec.msgpack.Decoder(ext_hook=stored_hook).decode
"""The value in MessagePack with its references as they are packed again: what was loaded is left out."""
_pack = msgspec.msgpack.Encoder().encode


def references(data: bytes) -> list[Reference]:
    """Every reference in the MessagePack ``data``, loaded or not, in order."""
    found: list[Reference] = []

    def note(code: int, inner: memoryview) -> None:
        if code == EXTENSION and is_reference(bytes(inner[:REFERENCE_BYTES])):
            found.append(Reference.decode(bytes(inner[:REFERENCE_BYTES])))

    msgspec.msgpack.Decoder(ext_hook=note).decode(data)
    return found


def loaded(data: bytes, values: Mapping[bytes, bytes]) -> bytes:
    """The MessagePack ``data`` with each reference loaded: ``values`` has the packed value by its object's name."""

    def fill(code: int, inner: memoryview) -> Any:
        if code != EXTENSION or len(inner) != REFERENCE_BYTES:
            return msgspec.msgpack.Ext(code, bytes(inner))
        reference = bytes(inner)
        return msgspec.msgpack.Ext(code, reference + values[Reference.decode(reference).name])

    return _pack(msgspec.msgpack.Decoder(ext_hook=fill).decode(data))
