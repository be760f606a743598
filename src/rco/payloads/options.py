"""What can be set about payloads that are kept by reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["OVER_BYTES_MIN", "PayloadOptions", "faults"]

OVER_BYTES_MIN = 1024
"""Below it a reference would save next to nothing."""


class PayloadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which payloads of runs and events go to the object store (`objects`), the store holding a reference."""

    object_store_over_bytes: Annotated[int, Meta(ge=0, le=1 << 30)] = 0
    """Inputs, results, states, events and signals above this size, such as `256KiB`. `0B`: none. What is there by
    reference already stays readable. Changes with a restart."""
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 10.0
    """The object store must have taken or given a payload within it; else a start is refused, and what is here or is to
    be read waits and is tried again."""
    gc_every_s: Annotated[float, Meta(ge=1, le=30 * 86_400)] = 900.0
    """How often objects that nothing refers to are looked for."""
    gc_grace_s: Annotated[float, Meta(ge=60, le=366 * 86_400)] = 3600.0
    """So long an object must have been there and been found unused before it is removed. Longer than the age of any
    backup that is to be restored with its payloads."""


def faults(options: PayloadOptions, *, place: str, shared: bool) -> Iterator[tuple[str, str, str]]:
    """What is wrong: key, message, cure. ``place``: that of ``objects``; ``shared``: nodes may share the store."""
    over = options.object_store_over_bytes
    if over and over < OVER_BYTES_MIN:
        yield (
            "payloads.object_store_over",
            f"is {over} bytes; a reference is worth it from {OVER_BYTES_MIN} on",
            "Write 256KiB, or 0B for none.",
        )
    if over and shared and not place:
        yield (
            "objects.place",
            "is a folder of this machine, and other nodes of the store could not read its payloads",
            "Write s3://bucket/prefix, or file:/path of a folder that all nodes share.",
        )
