"""Compressed bodies, made plain under caps: the one door to gzip, zlib, Brotli and Zstandard.

A stream is decoded no further than one block past what is allowed, so what a bomb costs does not depend on what it
would become. Called after the signature holds, as a signature is over the bytes of the wire.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable

import brotli
import msgspec

from rco.bridge.brotli_head import read_brotli_head
from rco.errors import Reason, Refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "BROTLI_WINDOW_CAP_LOG",
    "CODINGS",
    "RATIO_FLOOR_BYTES",
    "WINDOW_CAP_LOG",
    "Coding",
    "DecompressionLimits",
    "Expand",
    "coding_of",
    "expander",
    "malformed",
    "name_of",
    "zstd",
]

RATIO_FLOOR_BYTES = 64 << 10
"""Up to here any ratio is allowed: short texts that repeat themselves are usual, and cost nothing."""
RATIO_DEFAULT = 100.0
WINDOW_CAP_LOG = 23
"""8 MiB, what the coding ``zstd`` may ask of a receiver at most (RFC 9659). A frame can ask for gigabytes."""
BROTLI_WINDOW_CAP_LOG = 22
"""4 MiB, what encoders use unless told otherwise. A window is filled at one go: one of 16 MiB takes 30 ms."""
_STEP_BYTES = 64 << 10

Expand = Callable[[bytes], bytes]
"""The plain body behind the bytes of the wire. Raises ``Refused``."""
Coding = Callable[[bytes, int], bytes | None]
"""``(wire, cap_bytes)``: what it decodes to; ``None`` when that is more than ``cap_bytes``. Raises ``Refused``
(``MALFORMED``)."""


class DecompressionLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a body may grow. Its size once decoded is bounded by the body limit besides, always."""

    max_ratio: float = RATIO_DEFAULT
    """Decoded bytes for each byte of the wire, counted once 64 KiB have come out. Honest JSON reaches 25 to 53."""


def name_of(header: bytes) -> bytes | None:
    """The name of the coding in a ``Content-Encoding``; ``None`` when the body is as it is. Raises as ``coding_of``."""
    names = [name.strip().lower() for name in header.split(b",")]
    if not all(name == b"identity" or name in CODINGS for name in names):
        raise Refused(Reason.MEDIA_TYPE, "content_encoding")
    codings = [name for name in names if name != b"identity"]
    if len(codings) > 1:
        raise malformed("encoding_nested")
    return codings[0] if codings else None


def coding_of(header: bytes) -> Coding | None:
    """The coding that a ``Content-Encoding`` names; ``None`` when the body is as it is.

    Raises ``Refused``: ``MEDIA_TYPE`` ``content_encoding`` for a coding that is not known (or no name at all),
    ``MALFORMED`` ``encoding_nested`` for several, one around the other.
    """
    name = name_of(header)
    return None if name is None else CODINGS[name]


def expander(coding: Coding, *, limit_bytes: int, max_ratio: float = RATIO_DEFAULT) -> Expand:
    """Expands bodies of one coding within ``limit_bytes`` and ``max_ratio``.

    What it gives raises ``Refused``: ``DECOMP_LIMIT`` ``decoded_size`` or ``decoded_ratio`` for what grows beyond;
    ``MALFORMED`` ``encoding_broken`` for what is not of this coding, ``encoding_window`` for a Brotli window above
    4 MiB, ``encoding_truncated`` for a stream without its end, ``encoding_trailing`` for bytes after it, a second
    member or frame among them.
    """

    def expand(wire: bytes) -> bytes:
        by_ratio_bytes = max(RATIO_FLOOR_BYTES, int(max_ratio * len(wire)))
        plain = coding(wire, min(limit_bytes, by_ratio_bytes))
        if plain is None:
            raise Refused(Reason.DECOMP_LIMIT, "decoded_ratio" if by_ratio_bytes < limit_bytes else "decoded_size")
        return plain

    return expand


def malformed(detail: str) -> Refused:
    """What a broken stream is refused with."""
    return Refused(Reason.MALFORMED, detail)


def _inflate(window_bits: int) -> Coding:
    def decode(wire: bytes, cap_bytes: int) -> bytes | None:
        stream = zlib.decompressobj(window_bits)
        try:
            plain = stream.decompress(wire, cap_bytes + 1)
        except zlib.error as error:
            raise malformed("encoding_broken") from error
        return _ended(plain, cap_bytes, stream.eof, stream.unused_data)

    return decode


def _zstd(wire: bytes, cap_bytes: int) -> bytes | None:
    stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_CAP_LOG})
    try:
        plain = stream.decompress(wire, cap_bytes + 1)
    except zstd.ZstdError as error:
        raise malformed("encoding_broken") from error
    return _ended(plain, cap_bytes, stream.eof, stream.unused_data)


def _brotli(wire: bytes, cap_bytes: int) -> bytes | None:
    head = read_brotli_head(wire)
    if head.window_log > BROTLI_WINDOW_CAP_LOG:
        raise malformed("encoding_window")
    if head.first_bytes > cap_bytes:
        return None
    stream = brotli.Decompressor()
    parts: list[bytes] = []
    size_bytes = 0
    fed = wire
    try:
        # In steps: the library rounds a limit up to twice as much.
        while size_bytes <= cap_bytes and not stream.is_finished():
            part = stream.process(fed, output_buffer_limit=min(_STEP_BYTES, cap_bytes + 1 - size_bytes))
            fed = b""
            if not part and stream.can_accept_more_data():
                break
            parts.append(part)
            size_bytes += len(part)
    except brotli.error as error:
        # The library says the same of a broken stream and of bytes after its end.
        raise malformed("encoding_broken") from error
    return _ended(b"".join(parts), cap_bytes, stream.is_finished(), b"")


def _ended(plain: bytes, cap_bytes: int, ended: bool, rest: bytes) -> bytes | None:
    if len(plain) > cap_bytes:
        return None
    if not ended:
        raise malformed("encoding_truncated")
    if rest:
        raise malformed("encoding_trailing")
    return plain


_gzip = _inflate(31)
CODINGS: dict[bytes, Coding] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,  # RFC 9110 section 8.4.1.3: the same
    b"deflate": _inflate(15),  # zlib (RFC 1950), as RFC 9110 has it; a bare deflate stream is none
    b"br": _brotli,
    b"zstd": _zstd,
}
"""By name in lower case, as it stands in ``Content-Encoding``."""
