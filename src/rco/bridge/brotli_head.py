"""The first bits of a Brotli stream (RFC 7932, section 9): how much it may make the decoder do at one go.

The decoder fills its whole window before it gives anything back, so an output limit does not bound its work; the window
does, and the length that the first meta-block announces.
"""

from __future__ import annotations

import msgspec

__all__ = ["BrotliHead", "read_brotli_head"]

_HEAD_BYTES = 6
"""More than the window, the flags and the longest length take."""


class BrotliHead(msgspec.Struct, frozen=True):
    """``window_log``: 10 to 24; 0 where the bits are no window of RFC 7932. ``first_bytes``: what the first meta-block
    decodes to; 0 when it is empty or holds metadata."""

    window_log: int
    first_bytes: int


def read_brotli_head(stream: bytes) -> BrotliHead:
    """What the stream announces. A stream that is too short reads as if zeros followed. Raises nothing."""
    bits = int.from_bytes(stream[:_HEAD_BYTES].ljust(_HEAD_BYTES, b"\0"), "little")
    if not bits & 1:
        window_log, at = 16, 1
    elif bits >> 1 & 7:
        window_log, at = 17 + (bits >> 1 & 7), 4
    else:
        low = bits >> 4 & 7
        window_log, at = (17 if low == 0 else 0 if low == 1 else 8 + low), 7
    last = bits >> at & 1
    at += 1
    if last:
        if bits >> at & 1:
            return BrotliHead(window_log, 0)
        at += 1
    nibbles = bits >> at & 3
    if nibbles == 3:
        return BrotliHead(window_log, 0)
    size_bits = 4 * (4 + nibbles)
    return BrotliHead(window_log, (bits >> (at + 2) & ((1 << size_bits) - 1)) + 1)
