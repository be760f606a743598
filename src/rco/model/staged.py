"""Objects that stand in the database until they are moved to where objects are kept."""

from __future__ import annotations

import msgspec

__all__ = ["StagedObject"]


class StagedObject(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one object, durable with the commit that carries them. ``put_us`` tells it from what is put under
    the same key before or after."""

    key: str
    put_us: int
    data: bytes
